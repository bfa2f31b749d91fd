import { eventStream } from './event-stream.ts';
import type { Connection } from './connection.ts';

export interface NodeListener {
  /** `move`, `paused`, `resumed`, `ended`, `layers`, `publisher`. */
  event(event: string, detail: unknown): void | Promise<void>;
  /** The node no longer serves this session. `ended`: the node ended it itself. */
  gone(reason: string, ended: boolean): void;
}

/** The node counts as dead when its event stream is lost and no media arrives for this long; a viewer gets a frame and a publisher feedback well within it. */
const SILENCE_MS = 500;
/** A node that hangs accepts connections and answers none; its media worker, a separate process, still answers ICE. */
const MAX_UNANSWERED = 2;
/** A viewer that gets no packet for this long, of a stream that is not paused, checks whether the node still answers. */
const NO_MEDIA_MS = 2_000;
const POLL_INTERVAL_MS = 500;

/** Follows a session's events until `signal` aborts. Detects a dead node long before ICE does (RFC 7675: up to 30 s), and a node that hangs, which ICE never detects. */
export async function followNode(connection: Connection, signal: AbortSignal, listener: NodeListener): Promise<void> {
  const { resource, candidate, peer } = connection;
  // Another server's WHIP or WHEP may have no events at all.
  let redial: (() => void) | undefined;
  let unanswered = 0;
  let isPaused = false;
  const gone = (reason: string, ended: boolean): void => {
    if (!signal.aborted) listener.gone(reason, ended);
  };
  const onOpen = (again: () => void): void => {
    redial = again;
    unanswered = 0;
  };
  const onLost = (isUnanswered: boolean): void => {
    if (!redial) return;
    unanswered = isUnanswered ? unanswered + 1 : 0;
    if (unanswered >= MAX_UNANSWERED) return gone(`${candidate.node} does not answer`, false);
    void isSilent(peer, isUnanswered).then((silent) => silent && gone(`${candidate.node} is silent`, false));
  };
  void whenMediaStops(peer, signal, () => {
    if (!isPaused) redial?.();
  });
  for await (const { event, data } of eventStream(`${resource.url}/events`, resource.headers, signal, { onOpen, onLost })) {
    if (event === 'paused' || event === 'resumed') isPaused = event === 'paused';
    await listener.event(event, JSON.parse(data));
  }
  // The node has ended the session, or has restarted and no longer knows it.
  if (redial) gone(`${candidate.node} has ended the session`, true);
}

/** Calls `act` each time a viewer has received no packet for NO_MEDIA_MS. Publishers receive no media. */
async function whenMediaStops(peer: RTCPeerConnection, signal: AbortSignal, act: () => void): Promise<void> {
  let last: { packets: number; atMs: number } | undefined;
  while (!signal.aborted) {
    const { packets } = await received(peer).catch(() => ({ packets: 0 }));
    const nowMs = performance.now();
    if (packets !== last?.packets) last = { packets, atMs: nowMs };
    else if (packets > 0 && nowMs - last.atMs >= NO_MEDIA_MS) {
      last.atMs = nowMs;
      act();
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}

/**
 * Distinguishes a dead node from one whose signalling alone fails: media, or RTCP reports, still come from the latter. A node that hangs sends
 * reports too, so when a request went unanswered only a viewer's media counts.
 */
async function isSilent(peer: RTCPeerConnection, mediaOnly: boolean): Promise<boolean> {
  const before = await received(peer);
  await new Promise((resolve) => setTimeout(resolve, SILENCE_MS));
  const now = await received(peer);
  return mediaOnly && now.packets > 0 ? now.packets === before.packets : now.bytes <= before.bytes;
}

async function received(peer: RTCPeerConnection): Promise<{ bytes: number; packets: number }> {
  const sum = { bytes: 0, packets: 0 };
  const reports = (await peer.getStats()) as unknown as ReadonlyMap<
    string,
    { type: string; bytesReceived?: number; packetsReceived?: number }
  >;
  for (const { type, bytesReceived, packetsReceived } of reports.values()) {
    if (type === 'candidate-pair') sum.bytes += bytesReceived ?? 0;
    if (type === 'inbound-rtp') sum.packets += packetsReceived ?? 0;
  }
  return sum;
}
