import { eventStream } from '@millrace/sdk/event-stream';

export interface SessionEvents {
  /** Names of the events that the node sent, in order; without `layers`. */
  readonly said: readonly string[];
  /** When each event arrived, as of performance.now(). */
  readonly atMs: readonly number[];
  stop(): void;
}

/** Listens to a session's server-sent events, as any player would. */
export function listenTo(sessionUrl: string): SessionEvents {
  const said: string[] = [];
  const atMs: number[] = [];
  const stopping = new AbortController();
  const listen = async (): Promise<void> => {
    for await (const { event } of eventStream(`${sessionUrl}/events`, {}, stopping.signal)) {
      if (event === 'layers') continue;
      said.push(event);
      atMs.push(performance.now());
    }
  };
  void listen();
  return { said, atMs, stop: () => stopping.abort() };
}
