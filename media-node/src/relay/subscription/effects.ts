import type { HeldPosition, TrunkControlMessage, Hop, StreamDescription } from '@millrace/api/trunk';

/** The two conversations of a subscription on its trunk. */
export interface Conversations {
  audio: number;
  video: number;
}

/** What a node holds of a track and layer, and whether packets from before that are still taken. */
export interface HeldRange extends HeldPosition {
  from: number;
  takesOlder: boolean;
}

/** How a stream stands at this node, for those who pull it here. */
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

/** What the state machine has done to the world. Calls are made in order; none may throw or call back. */
export interface SubscriptionEffects {
  /** To a node that may have to be dialled first. */
  sendUpstream(hop: Hop, message: TrunkControlMessage): void;
  /** To a peer with a trunk. */
  sendDownstream(peer: string, message: TrunkControlMessage): void;
  /** Media of these conversations of the peer belongs to the stream from now on. */
  bind(stream: string, peer: string, id: number, conversations: Conversations): void;
  unbind(stream: string, peer: string, id: number, conversations: Conversations): void;
  /**
   * Forward the stream to a downstream, or change what is forwarded. `masks[track]`: bit n is layer n. Packets behind each
   * of `held` are retransmitted first; of a layer wanted anew without a position, those from the last keyframe on.
   */
  serve(stream: string, downstream: ServedDownstream, masks: Uint8Array, held: HeldPosition[]): void;
  stopServing(stream: string, downstream: ServedDownstream): void;
  /** Tracks or epoch are known or have changed. */
  describe(description: StreamDescription): void;
  status(stream: string, status: StreamStatus, reason: string): void;
  path(stream: string, path: MeasuredPath): void;
  /** To the publisher of a stream whose origin is this node. */
  requestKeyframe(stream: string, track: number, layer: number): void;
  /** Nobody wants it any more. */
  forget(stream: string): void;
  held(stream: string): HeldRange[];
  /** The trunk to a peer as measured now. */
  trunkQuality(peer: string): { rttMs: number; lossPercent: number };
}
