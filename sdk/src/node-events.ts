import { eventStream } from './event-stream.ts';
import type { Connection } from './session.ts';

export interface NodeListener {
  /** `move`, `paused`, `resumed`, `ended`, `layers`. */
  event(event: string, detail: unknown): void | Promise<void>;
  /** The node is no longer there for this session. `ended`: it said so itself. */
  gone(reason: string, ended: boolean): void;
}

/** How long media may be silent beside a dead event stream before the node counts as dead: a viewer gets a frame, a publisher feedback, well within it. */
const SILENCE_MS = 500;

/** Follows a session's events until `signal` aborts. Notices a dead node long before ICE does (RFC 7675: up to 30 s). */
export async function followNode(connection: Connection, signal: AbortSignal, listener: NodeListener): Promise<void> {
  const { resource, candidate } = connection;
  // Another server's WHIP or WHEP may have no events at all.
  let isOpen = false;
  const onOpen = () => void (isOpen = true);
  const onLost = () => {
    if (!isOpen) return;
    void isSilent(connection.peer).then((silent) => {
      if (silent && !signal.aborted) listener.gone(`${candidate.node} is silent`, false);
    });
  };
  for await (const { event, data } of eventStream(`${resource.url}/events`, resource.headers, signal, { onOpen, onLost })) {
    await listener.event(event, JSON.parse(data));
  }
  // The node has ended the session, or was started anew and knows it no more.
  if (isOpen && !signal.aborted) listener.gone(`${candidate.node} has ended the session`, true);
}

/** Tells a node that died from one whose signalling alone fails: media, or reports on media, still come from the latter. */
async function isSilent(peer: RTCPeerConnection): Promise<boolean> {
  const before = await receivedBytes(peer);
  await new Promise((resolve) => setTimeout(resolve, SILENCE_MS));
  return (await receivedBytes(peer)) <= before;
}

async function receivedBytes(peer: RTCPeerConnection): Promise<number> {
  let bytes = 0;
  const reports = (await peer.getStats()) as unknown as ReadonlyMap<string, { type: string; bytesReceived?: number }>;
  for (const { type, bytesReceived } of reports.values()) if (type === 'candidate-pair') bytes += bytesReceived ?? 0;
  return bytes;
}
