/** A media node as it truly is, whatever the API says about it. */
export interface TrueNode {
  /** Of its pod. */
  readonly uid: string;
  readonly name: string;
  readonly edge: string;
  sessions: number;
  /** It runs and tries to reach control. */
  isUp: boolean;
  /** Control holds its agent. */
  connected: boolean;
  /** It took in a spec that says so, and takes nothing new. */
  cordoned: boolean;
  /** The MediaNode of which it runs a generation; generations of another one of the name say nothing. */
  programmed: { readonly uid: string; readonly generation: number } | undefined;
  drainSince: string | undefined;
  drainAcknowledgedMs: number | undefined;
  reportAtMs: number;
}

export function bootedNode(identity: Pick<TrueNode, 'uid' | 'name' | 'edge'>): TrueNode {
  return {
    ...identity,
    sessions: 0,
    isUp: false,
    connected: false,
    cordoned: false,
    programmed: undefined,
    drainSince: undefined,
    drainAcknowledgedMs: undefined,
    reportAtMs: 0,
  };
}
