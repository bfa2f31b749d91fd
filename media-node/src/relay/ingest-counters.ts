import type { DropReason } from '../gate/index.ts';

export interface IngestCounters {
  packets: number;
  bytes: number;
  forwarded: number;
  /** Not valid RTP. */
  malformed: number;
  /** Larger than MAX_RTP_BYTES. */
  tooLarge: number;
  /** RTP with an unknown SSRC. */
  unknownSsrc: number;
  dropped: Record<DropReason, number>;
  /** Withheld because the publisher sends more than it may. */
  aboveLimit: number;
  /** Keyframe requests by outcome: sent to the publisher, or held back by the back-off. */
  keyframeRequests: { sent: number; held: number };
  /** Packets with parameter sets inserted before keyframes that lacked them. */
  insertedSets: number;
  /** Jumps of the publisher's clock that were hidden from viewers. */
  clockJumps: number;
}

/** One track of a publisher at its gate, all layers together. */
export interface TrackCounters {
  track: number;
  /** Packets that reached the gate. */
  packets: number;
  /** Packets that the gate forwarded. */
  passed: number;
}
