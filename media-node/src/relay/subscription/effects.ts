import type { HeldPosition, TrunkControlMessage, Hop, StreamDescription } from '@millrace/api/trunk';

/** The two conversations of a subscription on its trunk. */
export interface Conversations {
  audio: number;
  video: number;
}

/** The packets of a track and layer that a node holds, and whether it still accepts older ones. */
export interface HeldRange extends HeldPosition {
  from: number;
  takesOlder: boolean;
}

/** State of a stream at this node, for local pulls. */
export type StreamStatus = 'flowing' | 'lost' | 'ended';

/** The path that a stream takes to this node. */
export interface MeasuredPath {
  /** Nodes upstream, nearest first, the origin last. */
  nodes: string[];
  /** Summed over the trunks of the path. */
  rttMs: number;
  lossPercent: number;
}

/** One subscriber behind a trunk. */
export interface ServedDownstream {
  peer: string;
  id: number;
  conversations: Conversations;
}

/** Effects of the state machine, called in order. Implementations must not throw or call back. */
export interface SubscriptionEffects {
  /** To a node that may have to be dialled first. */
  sendUpstream(hop: Hop, message: TrunkControlMessage): void;
  /** To a peer with a trunk. */
  sendDownstream(peer: string, message: TrunkControlMessage): void;
  /** Maps these conversations of the peer to the stream. */
  bind(stream: string, peer: string, id: number, conversations: Conversations): void;
  unbind(stream: string, peer: string, id: number, conversations: Conversations): void;
  /**
   * Forward the stream to a downstream, or change what is forwarded. `masks[track]`: bit n is layer n. Packets after each
   * position of `held` are replayed first; newly requested layers without a position start at the last keyframe.
   */
  serve(stream: string, downstream: ServedDownstream, masks: Uint8Array, held: HeldPosition[]): void;
  stopServing(stream: string, downstream: ServedDownstream): void;
  /** Tracks or epoch are known or have changed. */
  describe(description: StreamDescription): void;
  status(stream: string, status: StreamStatus, reason: string): void;
  path(stream: string, path: MeasuredPath): void;
  /** To the publisher of a stream whose origin is this node. */
  requestKeyframe(stream: string, track: number, layer: number): void;
  /** Nobody requests the stream any more. */
  forget(stream: string): void;
  held(stream: string): HeldRange[];
  /** The trunk to a peer as measured now. */
  trunkQuality(peer: string): { rttMs: number; lossPercent: number };
}
