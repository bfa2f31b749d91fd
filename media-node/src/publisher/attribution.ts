import type { Finding } from './health.ts';
import type { UnclaimedPackets } from './unclaimed.ts';

/** A track of a publisher some of whose packets belong to no track. */
export interface SuspectTrack {
  track: number;
  payloadType: number;
  rtxPayloadType: number | undefined;
  /** SSRCs that the worker knows the track by. */
  ssrcs: readonly number[];
  /** Whether the SSRC may be learned: the track has one encoding, not several identified by SSRC or RID. */
  bySsrc: boolean;
  /** The packets may name their track or layer in a header extension (MID, RID). */
  byName: boolean;
  /** Its packets reach the worker's producer. */
  isFlowing: boolean;
}

export interface Suspect {
  tracks: readonly SuspectTrack[];
  /** Plain RTP: the worker silently drops packets from other addresses. */
  isPlain: boolean;
  isEncrypted: boolean;
  /** SSRCs that were tried for a track without success. */
  tried: ReadonlySet<number>;
}

/** How to find a track's packets from now on. */
export interface Remedy {
  track: number;
  /** undefined: by MID or RID. */
  ssrc?: number;
}

export interface Conclusion {
  remedies: Remedy[];
  /** What is reported when there is no remedy. */
  finding?: Finding;
}

/**
 * Attributes unclaimed packets to one publisher's tracks (RFC 8843 section 9.2: MID first, then SSRC, then payload type). Proposes an SSRC only if it is
 * unambiguous: a single track has the payload type, the track is not simulcast, and its announced SSRC does not arrive. The worker does not report the
 * transport of a packet, so with several suspects the right SSRC is found by trial: a wrong one receives no packets.
 * @param others the other publishers of the same worker that are suspected now
 */
export function attribute(suspect: Suspect, seen: UnclaimedPackets, others: readonly Suspect[]): Conclusion {
  const { tracks } = suspect;
  const starving = tracks.filter(({ isFlowing }) => !isFlowing);

  // The worker found a producer by MID or RID and refused the SSRC: without an announced SSRC, MID or RID decides.
  const isNamedAnew = seen.refusedSsrcs.some((ssrc) => !tracks.some(({ ssrcs }) => ssrcs.includes(ssrc)));
  const remedies: Remedy[] = isNamedAnew ? starving.filter(({ byName }) => byName).map(({ track }) => ({ track })) : [];

  for (const track of starving) {
    if (!track.bySsrc || remedies.some((remedy) => remedy.track === track.track)) continue;
    if (tracks.filter(({ payloadType }) => payloadType === track.payloadType).length > 1) continue;
    const candidates = seen.unknown.filter(({ payloadType }) => payloadType === track.payloadType);
    const contenders = others.filter((other) => isStarvingOf(other, track.payloadType)).length + 1;
    if (candidates.length > contenders) continue;
    const candidate = candidates.find(({ ssrc }) => !suspect.tried.has(ssrc));
    if (candidate) remedies.push({ track: track.track, ssrc: candidate.ssrc });
  }
  const finding = findingOf(suspect, seen, others);
  return { remedies, ...(finding ? { finding } : {}) };
}

function findingOf(suspect: Suspect, seen: UnclaimedPackets, others: readonly Suspect[]): Finding | undefined {
  const { tracks } = suspect;
  const isOwn = (payloadType: number): boolean => takes(suspect, payloadType);
  const isForeign = (payloadType: number): boolean => !isOwn(payloadType) && !others.some((other) => takes(other, payloadType));

  const ownSsrc = seen.refusedSsrcs.find((ssrc) => tracks.some(({ ssrcs, isFlowing }) => !isFlowing && ssrcs.includes(ssrc)));
  if (ownSsrc !== undefined) return { kind: 'payload-type', ssrc: ownSsrc };
  const otherType = seen.unknownPayloadTypes.find(isForeign);
  if (otherType !== undefined && tracks.some(({ isFlowing }) => isFlowing))
    return { kind: 'payload-type', payloadType: otherType };

  // What this publisher announced is known on its own transport: packets with that SSRC are another publisher's.
  const unknown = seen.unknown.filter(({ ssrc }) => !tracks.some(({ ssrcs }) => ssrcs.includes(ssrc)));
  const ownType = unknown.find(({ payloadType }) =>
    tracks.some((track) => !track.isFlowing && track.payloadType === payloadType),
  );
  if (ownType) return { kind: 'ssrc', ssrc: ownType.ssrc, payloadType: ownType.payloadType };
  const isStarving = tracks.some(({ isFlowing }) => !isFlowing);
  const noType = unknown.find(({ payloadType }) => isForeign(payloadType));
  if (noType && isStarving) return { kind: 'payload-type', payloadType: noType.payloadType, ssrc: noType.ssrc };
  const foreign = seen.refusedSsrcs.find((ssrc) => !tracks.some(({ ssrcs }) => ssrcs.includes(ssrc)));
  if (foreign !== undefined && isStarving) return { kind: 'ssrc', ssrc: foreign };
  if (!tracks.every(({ isFlowing }) => !isFlowing)) return undefined;
  if (suspect.isEncrypted && seen.undecryptable.length > 0) return { kind: 'srtp' };
  const isNothing = seen.unknown.length + seen.refusedSsrcs.length + seen.unknownPayloadTypes.length === 0;
  return isNothing && suspect.isPlain ? { kind: 'no-rtp' } : undefined;
}

function takes({ tracks }: Suspect, payloadType: number): boolean {
  return tracks.some((track) => track.payloadType === payloadType || track.rtxPayloadType === payloadType);
}

function isStarvingOf({ tracks }: Suspect, payloadType: number): boolean {
  return tracks.some((track) => !track.isFlowing && track.payloadType === payloadType);
}
