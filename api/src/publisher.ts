/** A publisher's health: what a media node concludes from the packets that come and from those that pass its forwarding-control gate. */
import { z } from 'zod';

/**
 * - Connecting: nothing can be said yet; the publisher is still connecting, or has only just begun to send.
 * - Receiving: packets pass the gate, so viewers get media.
 * - WaitingForKeyframe: video arrives, but no keyframe that a decoder could start from.
 * - NoKnownSsrc: RTP arrives with an SSRC that belongs to no track.
 * - UnknownPayloadType: RTP arrives with a payload type that belongs to no track.
 * - Unreadable: bytes arrive that are no RTP of this session: sent from another address, or encrypted with another key.
 * - Silent: no media arrives.
 */
export const PublisherState = z.enum([
  'Connecting',
  'Receiving',
  'WaitingForKeyframe',
  'NoKnownSsrc',
  'UnknownPayloadType',
  'Unreadable',
  'Silent',
]);
export type PublisherState = z.infer<typeof PublisherState>;

const Ssrc = z.number().int().min(0).max(0xffffffff);

export const PublishedTrackStatus = z.object({
  track: z.number().int().nonnegative(),
  kind: z.enum(['audio', 'video']),
  state: PublisherState,
  /** As announced, or as learned from the packets. Absent where tracks are told apart by other means (MID, RID). */
  ssrcs: z.array(Ssrc).max(16).optional(),
  /** Why few viewers can play what is published, and what to do about it. Absent where most can. */
  hint: z.string().max(512).optional(),
});
export type PublishedTrackStatus = z.infer<typeof PublishedTrackStatus>;

/** since: ms since the Unix epoch, when this state began. detail: what is wrong and what to do about it, for people; absent when nothing is wrong. throttled: what it sends and what it may send, while layers or frames are withheld because it is too much. */
export const PublisherStatus = z.object({
  state: PublisherState,
  since: z.number().nonnegative(),
  detail: z.string().max(512).optional(),
  throttled: z.object({ kbps: z.number().nonnegative(), maxKbps: z.number().positive() }).optional(),
  tracks: z.array(PublishedTrackStatus).max(16),
});
export type PublisherStatus = z.infer<typeof PublisherStatus>;

/** What the report to control says of a publisher. */
export const PublisherSummary = PublisherStatus.omit({ tracks: true });
export type PublisherSummary = z.infer<typeof PublisherSummary>;
