/** The actual state of a media node, which the API's state may lag or contradict. */
export interface SimulatedNode {
  /** The uid of its pod. */
  readonly uid: string;
  readonly name: string;
  readonly edge: string;
  sessions: number;
  /** The process runs and tries to connect to control. */
  isUp: boolean;
  /** Its agent is connected to control. */
  connected: boolean;
  /** It has applied a spec that cordons it, and accepts no new sessions. */
  cordoned: boolean;
  /** The uid and generation of the MediaNode whose spec it runs. Generations of another MediaNode of that name are not comparable. */
  programmed: { readonly uid: string; readonly generation: number } | undefined;
  drainSince: string | undefined;
  drainAcknowledgedMs: number | undefined;
  reportAtMs: number;
}

export function newNode(identity: Pick<SimulatedNode, 'uid' | 'name' | 'edge'>): SimulatedNode {
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
