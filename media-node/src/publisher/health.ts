import type { PublisherState } from '@millrace/api';

/**
 * The time of an observation. `heardMs` counts only the time in which the node was able to receive packets: after a pause of the process or a stolen CPU, it
 * must not blame its publishers for the silence. `wallMs` is the same moment in ms since the Unix epoch.
 */
export interface Moment {
  heardMs: number;
  wallMs: number;
}

/** Counters of one track. They only grow, except that `received` restarts at 0 when the worker's producer is replaced. */
export interface TrackSample {
  track: number;
  kind: 'audio' | 'video';
  /** Packets that the media worker took as this track's. */
  received: number;
  /** Packets that the forwarding-control gate let pass. */
  passed: number;
}

/** Why packets that arrive belong to no track. */
export type Finding =
  | { kind: 'ssrc'; ssrc: number; payloadType?: number }
  | { kind: 'payload-type'; payloadType?: number; ssrc?: number }
  /** The media worker could not decrypt them. */
  | { kind: 'srtp' }
  /** The media worker ignored them: they come from another address than announced, or are not RTP. */
  | { kind: 'no-rtp' };

export interface PublisherSample {
  /** The transport works, as far as the node can tell. */
  connected: boolean;
  /** Everything that arrived at the transport, STUN and RTCP included. */
  bytes: number;
  tracks: readonly TrackSample[];
  /** What the last probe of unclaimed packets found; absent: nothing, or there was no probe. */
  finding?: Finding;
}

interface Counted {
  count: number;
  /** `heardMs` of the last growth; undefined: it never grew. */
  grewAtMs: number | undefined;
}

export interface TrackHealth {
  track: number;
  kind: 'audio' | 'video';
  state: PublisherState;
  received: Counted;
  passed: Counted;
}

export interface PublisherHealth {
  state: PublisherState;
  /** When the state began, ms since the Unix epoch. */
  sinceMs: number;
  createdAtMs: number;
  connectedAtMs: number | undefined;
  bytes: Counted;
  /** Some track passed the gate last; undefined: none ever did. */
  passedAtMs: number | undefined;
  tracks: readonly TrackHealth[];
  finding?: Finding;
}

/** Time without a passed packet after which a track whose packets still arrive no longer counts as receiving. */
export const STALE_MS = 3000;
/** A track that sends rarely (a still screen, discontinuous audio) counts as silent only after this time. */
export const MAX_PAUSE_MS = 10_000;

/** Computes a publisher's health from its previous health and one sample. Pure. */
export function judge(before: PublisherHealth | undefined, sample: PublisherSample, at: Moment): PublisherHealth {
  const nowMs = at.heardMs;
  const bytes = count(before?.bytes, sample.bytes, nowMs);
  const connectedAtMs = before?.connectedAtMs ?? (sample.connected ? nowMs : undefined);
  const isSettling = connectedAtMs === undefined || nowMs - connectedAtMs < STALE_MS;
  const finding = isRecent(bytes, nowMs, STALE_MS) ? sample.finding : undefined;
  const tracks = sample.tracks.map((track): TrackHealth => {
    const known = before?.tracks.find((other) => other.track === track.track);
    const received = count(known?.received, track.received, nowMs);
    const passed = count(known?.passed, track.passed, nowMs);
    const state = trackState({ kind: track.kind, received, passed, finding, isSettling, nowMs });
    return { track: track.track, kind: track.kind, state, received, passed };
  });
  const state = summaryOf(tracks.map((track) => track.state));
  const passedAtMs = latest(tracks.map(({ passed }) => passed.grewAtMs));
  return {
    state,
    sinceMs: before?.state === state ? before.sinceMs : at.wallMs,
    createdAtMs: before?.createdAtMs ?? nowMs,
    connectedAtMs,
    bytes,
    passedAtMs,
    tracks,
    ...(finding ? { finding } : {}),
  };
}

function trackState(track: {
  kind: 'audio' | 'video';
  received: Counted;
  passed: Counted;
  finding: Finding | undefined;
  isSettling: boolean;
  nowMs: number;
}): PublisherState {
  const { received, passed, finding, nowMs } = track;
  if (isRecent(passed, nowMs, STALE_MS)) return 'Receiving';
  if (track.isSettling) return 'Connecting';
  if (finding?.kind === 'payload-type') return 'UnknownPayloadType';
  const isReceived = isRecent(received, nowMs, STALE_MS);
  if (isReceived && track.kind === 'video') return 'WaitingForKeyframe';
  if (!isReceived && finding) return finding.kind === 'ssrc' ? 'NoKnownSsrc' : 'Unreadable';
  return isRecent(passed, nowMs, MAX_PAUSE_MS) ? 'Receiving' : 'Silent';
}

/** States that need attention, the most specific first. */
const FAULTS: readonly PublisherState[] = ['NoKnownSsrc', 'UnknownPayloadType', 'WaitingForKeyframe'];
const REST: readonly PublisherState[] = ['Receiving', 'Unreadable', 'Connecting', 'Silent'];

/** The state of a stream is that of its worst track, except that a muted track beside one that sends is no fault. */
function summaryOf(states: readonly PublisherState[]): PublisherState {
  return [...FAULTS, ...REST].find((state) => states.includes(state)) ?? 'Connecting';
}

/** Even a muted publisher sends more often than this: media, RTCP (RFC 3550 section 6.2: every 5 s) or a consent check (RFC 7675 section 5.1) comes. */
export const MAX_SILENCE_MS = 10_000;
/** Maximum time from its creation to the first byte. */
export const MAX_UNUSED_MS = 30_000;
/** How long a publisher may send unusable packets. Longer than encoders wait between keyframes. */
export const MAX_UNUSABLE_MS = 60_000;

/** Why the publisher's name is released. Few and constant: they are metric labels too. */
export const RELEASE_REASONS = {
  unused: 'the publisher never sent anything',
  silent: 'the publisher fell silent',
  noMedia: 'the publisher never sent media',
  WaitingForKeyframe: 'the publisher sent no keyframe that a viewer could start from',
  NoKnownSsrc: 'the publisher sent packets of an SSRC that belongs to no track',
  UnknownPayloadType: 'the publisher sent packets of a payload type that belongs to no track',
  Unreadable: 'the publisher sent packets that cannot be read',
} as const;

export interface Release {
  /** In `heardMs`; the name is free from then on, unless something of use arrives before. */
  dueMs: number;
  reason: string;
}

/**
 * When the publisher's name is free again if things stay as they are.
 * @param health as judged last
 * @param options.mayBeMuted the transport itself proves that the client lives (ICE consent, RFC 7675), so that one without media is merely muted
 */
export function releaseOf(health: PublisherHealth, options: { mayBeMuted: boolean }): Release {
  const { bytes, createdAtMs, passedAtMs, state } = health;
  const silence: Release =
    bytes.grewAtMs === undefined
      ? { dueMs: createdAtMs + MAX_UNUSED_MS, reason: RELEASE_REASONS.unused }
      : { dueMs: bytes.grewAtMs + MAX_SILENCE_MS, reason: RELEASE_REASONS.silent };
  const isUseless = health.tracks.every((track) => track.state !== 'Receiving');
  const unusableFromMs = passedAtMs ?? health.connectedAtMs ?? createdAtMs;
  const unusableReason = unusableBecause(state, options.mayBeMuted);
  if (!isUseless || bytes.grewAtMs === undefined || unusableReason === undefined) return silence;
  const unusable: Release = { dueMs: unusableFromMs + MAX_UNUSABLE_MS, reason: unusableReason };
  return unusable.dueMs < silence.dueMs ? unusable : silence;
}

/**
 * For how long a publisher has sent nothing at all, and in how long its name is free, ms; undefined while that is no longer than a usual pause.
 * @param heardMs as in Moment
 */
export function silenceOf(
  health: PublisherHealth,
  heardMs: number,
  options: { mayBeMuted: boolean },
): { forMs: number; freeInMs: number } | undefined {
  const forMs = heardMs - (health.bytes.grewAtMs ?? health.createdAtMs);
  if (forMs < STALE_MS) return undefined;
  return { forMs, freeInMs: Math.max(0, releaseOf(health, options).dueMs - heardMs) };
}

function unusableBecause(state: PublisherState, mayBeMuted: boolean): string | undefined {
  switch (state) {
    case 'Receiving':
    case 'Connecting':
      return undefined;
    case 'Silent':
      return mayBeMuted ? undefined : RELEASE_REASONS.noMedia;
    default:
      return RELEASE_REASONS[state];
  }
}

function count(before: Counted | undefined, now: number, nowMs: number): Counted {
  const isGrowth = now > (before?.count ?? 0);
  return { count: now, grewAtMs: isGrowth ? nowMs : before?.grewAtMs };
}

function isRecent({ grewAtMs }: Counted, nowMs: number, withinMs: number): boolean {
  return grewAtMs !== undefined && nowMs - grewAtMs <= withinMs;
}

function latest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length > 0 ? Math.max(...known) : undefined;
}
