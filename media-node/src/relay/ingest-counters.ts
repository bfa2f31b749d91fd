import type { DropReason } from '../gate/index.ts';

export interface IngestCounters {
  packets: number;
  bytes: number;
  forwarded: number;
  /** No RTP. */
  malformed: number;
  /** Larger than MAX_RTP_BYTES. */
  tooLarge: number;
  /** RTP of an SSRC that no track names. */
  unknownSsrc: number;
  dropped: Record<DropReason, number>;
  /** Requests for a keyframe, by what became of them: sent to the publisher, or held back because it was asked just now or does not answer. */
  keyframeRequests: { sent: number; held: number };
  /** Packets with parameter sets that were put in front of keyframes that lacked them. */
  insertedSets: number;
  /** Jumps of the publisher's clock that are joined, so that viewers do not see them. */
  clockJumps: number;
}

/** One track of a publisher at its gate, all layers together. */
export interface TrackCounters {
  track: number;
  /** Packets that reached the gate. */
  packets: number;
  /** Packets that the gate let pass. */
  passed: number;
}
