import { EventEmitter } from 'node:events';
import type { PublisherState, PublisherStatus, StreamReport } from '@millrace/api';
import type { Clock, Logger } from '@millrace/service';
import type { types } from 'mediasoup';
import type { PublishedStream } from '../media/index.ts';
import type { RelayStats } from '../relay/index.ts';
import { playabilityOf } from '../sdp/index.ts';
import { HeardTime, type Session, type SessionRegistry } from '../sessions/index.ts';
import { adviceFor, throttledAdvice, type AnnouncedTrack } from './advice.ts';
import { judge, releaseOf, silenceOf, type Moment, type PublisherHealth } from './health.ts';
import { SsrcLearner } from './learner.ts';
import { ABOVE_LIMIT, observeRate, rateEndOf, throttledOf, type PublishRate } from './rate.ts';
import { probeUnclaimed } from './unclaimed.ts';

/** Bytes between two looks that belong to no track and are more than STUN, RTCP and the like. */
const MIN_UNCLAIMED_BYTES = 500;
/** What an encrypted packet has beside the bytes that mediasoup counts as RTP: SRTP's tag is at most 16 bytes (RFC 7714 section 13.1). */
const SRTP_OVERHEAD_BYTES = 16;

interface WatchEvents {
  transition: [session: Session, from: PublisherState | undefined, to: PublisherState];
}

type Ingests = RelayStats['ingests'];

interface Watched {
  published: PublishedStream;
  health: PublisherHealth | undefined;
  rate: PublishRate | undefined;
  learner: SsrcLearner;
  /** Of a packet, beside the bytes that mediasoup counts as RTP. */
  overheadBytes: number;
  /** Bytes at the transport: all, and those of packets that belong to a track. */
  bytes: { all: number; claimed: number };
  tracks: WatchedTrack[];
}

interface WatchedTrack {
  gate: { packets: number; passed: number };
  /** Packets that the worker's producer received, by SSRC; a new producer restarts at 0. */
  producer: Map<number, number>;
  received: number;
}

interface Look {
  session: Session;
  watched: Watched;
  flowing: Set<number>;
  isUnclaimed: boolean;
}

/**
 * Watches this node's publishers: judges their health by the packets that pass the gate, starts the learning of SSRCs, notifies clients, and ends publishers
 * that are silent or send nothing usable, over any transport. PlainViewerWatch watches the viewers of plain RTP; ICE consent proves that the others live.
 */
export class PublisherWatch extends EventEmitter<WatchEvents> {
  readonly #sessions: Pick<SessionRegistry, 'all'>;
  readonly #maxAboveMs: number | undefined;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #watched = new WeakMap<Session, Watched>();
  readonly #probing = new WeakSet<types.Worker>();
  readonly #heard = new HeardTime();

  /** @param parts.maxAboveMs how long a publisher may stay above its bit rate limit; default MAX_ABOVE_MS */
  constructor(parts: { sessions: Pick<SessionRegistry, 'all'>; maxAboveMs?: number; logger: Logger; clock: Clock }) {
    super();
    this.#sessions = parts.sessions;
    this.#maxAboveMs = parts.maxAboveMs;
    this.#logger = parts.logger;
    this.#clock = parts.clock;
  }

  /** How long the stream's publisher has been silent and when its name is released; undefined while it is not silent. */
  silenceOf(stream: string): StreamReport['silence'] {
    const session = this.#sessions.all().find(({ kind, stream: published }) => kind === 'push' && published === stream);
    const health = session && this.#watched.get(session)?.health;
    return health && silenceOf(health, this.#heard.ms, { mayBeMuted: session.protocol !== 'rtp' });
  }

  /** Looks once; call about each second. @param ingests what the gates counted, from the relay's statistics */
  async look(ingests: Ingests): Promise<void> {
    const nowMs = this.#clock.now();
    const at: Moment = { heardMs: this.#heard.look(nowMs), wallMs: this.#clock.wall() };
    const gates = new Map(ingests.map((ingest) => [ingest.id, ingest]));
    const publishers = this.#sessions
      .all()
      .filter(({ kind, state }) => kind === 'push' && state !== 'closed' && state !== 'displaced');
    const looks = await Promise.all(publishers.map((session) => this.#lookAt(session, gates, at)));
    this.#probe(looks.filter((look) => look?.isUnclaimed) as Look[], nowMs);
  }

  async #lookAt(session: Session, gates: ReadonlyMap<string, Ingests[number]>, at: Moment): Promise<Look | undefined> {
    const watched = this.#watchedOf(session);
    const { origin } = watched.published;
    if (origin.closed || origin.transport.closed) return undefined;
    const [stats] = await origin.transport.getStats().catch(() => []);
    if (!stats) return undefined;
    if (stats.bytesReceived > 0 && session.protocol === 'rtp') session.markConnected();
    const ingest = gates.get(origin.ingestId ?? '');
    const gate = ingest?.tracks ?? [];
    const flowing = new Set<number>();
    const passing = new Set<number>();
    let gatedPackets = 0;
    await Promise.all(
      watched.tracks.map(async (known, track) => {
        const { packets = 0, passed = 0 } = gate.find((counters) => counters.track === track) ?? {};
        const gated = packets - known.gate.packets;
        gatedPackets += gated;
        if (passed > known.gate.passed) passing.add(track);
        known.gate = { packets, passed };
        const taken = passing.has(track) ? gated : Math.max(gated, await takenPackets(watched, track));
        known.received += taken;
        if (taken > 0) flowing.add(track);
      }),
    );
    const claimed = (stats.rtpBytesReceived ?? 0) + (stats.rtxBytesReceived ?? 0);
    const unclaimed = stats.bytesReceived - watched.bytes.all - (claimed - watched.bytes.claimed);
    watched.bytes = { all: stats.bytesReceived, claimed };
    const isUnclaimed =
      passing.size < watched.tracks.length && unclaimed - gatedPackets * watched.overheadBytes > MIN_UNCLAIMED_BYTES;
    const isWell = watched.health?.tracks.every(({ state }) => state === 'Receiving') ?? false;
    await watched.learner
      .settle(flowing, isWell, isUnclaimed)
      .catch((err: unknown) => this.#logger.warn({ err }, 'learning an SSRC failed'));
    if (ingest) {
      const { maxPublishKbps: maxKbps } = watched.published.policy;
      watched.rate = observeRate(watched.rate, { bytes: ingest.bytes, withheld: ingest.aboveLimit, maxKbps }, at.heardMs);
    }
    this.#judge(session, watched, at);
    return { session, watched, flowing, isUnclaimed };
  }

  #judge(session: Session, watched: Watched, at: Moment): void {
    const before = watched.health;
    const { finding } = watched.learner;
    const health = judge(
      before,
      {
        connected: session.state === 'connected',
        bytes: watched.bytes.all,
        tracks: watched.tracks.map(({ received, gate: { passed } }, track) => ({
          track,
          kind: watched.published.origin.tracks[track]!.kind,
          received,
          passed,
        })),
        ...(finding ? { finding } : {}),
      },
      at,
    );
    watched.health = health;
    const throttled = watched.rate && throttledOf(watched.rate, at.heardMs);
    const status = { ...statusOf(health, watched, throttled?.maxKbps), ...(throttled ? { throttled } : {}) };
    const told = watched.published.status;
    watched.published.status = status;
    if (status.state !== told?.state || status.detail !== told.detail) this.#tell(session, told?.state, status);
    const above = watched.rate && rateEndOf(watched.rate, at.heardMs, this.#maxAboveMs);
    if (above !== undefined) {
      this.#logger.warn({ session: session.id, stream: session.stream, reason: above }, 'publisher ended, its name is free');
      return session.close(above, 'over', ABOVE_LIMIT);
    }
    const release = releaseOf(health, { mayBeMuted: session.protocol !== 'rtp' });
    if (at.heardMs < release.dueMs) return;
    this.#logger.info(
      { session: session.id, stream: session.stream, reason: release.reason },
      'publisher ended, its name is free',
    );
    session.close(release.reason);
  }

  #tell(session: Session, from: PublisherState | undefined, status: PublisherStatus): void {
    const { state, detail } = status;
    session.notify({ event: 'publisher', data: status });
    if (from === state) return;
    const fields = { session: session.id, stream: session.stream, from, state, ...(detail === undefined ? {} : { detail }) };
    if (detail === undefined) this.#logger.info(fields, `publisher is ${WORDS[state]}`);
    else this.#logger.warn(fields, `publisher is ${WORDS[state]}`);
    this.emit('transition', session, from, state);
  }

  /** Probes the workers of suspected publishers, one probe per worker at a time. The next check sees the result. */
  #probe(looks: readonly Look[], nowMs: number): void {
    const byWorker = Map.groupBy(looks, ({ watched }) => watched.published.origin.core.worker);
    for (const [worker, suspected] of byWorker) {
      if (this.#probing.has(worker) || !suspected.some(({ watched }) => watched.learner.isDue(nowMs))) continue;
      this.#probing.add(worker);
      this.#treat(worker, suspected)
        .catch((err: unknown) => this.#logger.warn({ err }, 'probing for unclaimed packets failed'))
        .finally(() => this.#probing.delete(worker));
    }
  }

  async #treat(worker: types.Worker, looks: readonly Look[]): Promise<void> {
    const seen = await probeUnclaimed(worker, this.#clock);
    const suspects = looks.map(({ watched, flowing }) => watched.learner.suspect(flowing));
    for (const [index, { watched }] of looks.entries()) {
      if (watched.published.origin.closed || !watched.learner.isDue(this.#clock.now())) continue;
      const others = suspects.filter((_, other) => other !== index);
      await watched.learner.learn(suspects[index]!, seen, others);
    }
  }

  #watchedOf(session: Session): Watched {
    const known = this.#watched.get(session);
    if (known) return known;
    if (session.media?.kind !== 'push') throw new Error('only publishers are watched');
    const { published } = session.media;
    const { origin } = published;
    const isPlain = session.protocol === 'rtp';
    const isEncrypted = !isPlain || (origin.transport as types.PlainTransport).srtpParameters !== undefined;
    const logger = this.#logger.child({ session: session.id, stream: session.stream });
    const watched: Watched = {
      published,
      health: undefined,
      rate: undefined,
      learner: new SsrcLearner({ origin, isPlain, isEncrypted, logger, clock: this.#clock }),
      overheadBytes: isEncrypted ? SRTP_OVERHEAD_BYTES : 0,
      bytes: { all: 0, claimed: 0 },
      tracks: origin.tracks.map(() => ({ gate: { packets: 0, passed: 0 }, producer: new Map<number, number>(), received: 0 })),
    };
    this.#watched.set(session, watched);
    return watched;
  }
}

const WORDS: Readonly<Record<PublisherState, string>> = {
  Connecting: 'connecting',
  Receiving: 'receiving',
  WaitingForKeyframe: 'waiting for a keyframe',
  NoKnownSsrc: 'without a known SSRC',
  UnknownPayloadType: 'sending an unknown payload type',
  Unreadable: 'unreadable',
  Silent: 'silent',
};

/** Packets that the producer took since the last call. */
async function takenPackets({ published, tracks }: Watched, track: number): Promise<number> {
  const known = tracks[track]!;
  const now = await published.origin.receivedPackets(track).catch(() => []);
  const taken = now.reduce((sum, { ssrc, packets }) => sum + Math.max(0, packets - (known.producer.get(ssrc) ?? 0)), 0);
  known.producer = new Map(now.map(({ ssrc, packets }) => [ssrc, packets]));
  return taken;
}

/** @param maxKbps the limit, if the publisher sends more than that */
function statusOf(health: PublisherHealth, { published: { origin } }: Watched, maxKbps: number | undefined): PublisherStatus {
  const announced = origin.sources.map(({ kind, rtpParameters: { codecs, encodings = [] } }, track): AnnouncedTrack => {
    const { mimeType, payloadType } = codecs[0]!;
    return { track, kind, mimeType, payloadType, ssrcs: encodings.flatMap(({ ssrc }) => (ssrc === undefined ? [] : [ssrc])) };
  });
  const detail = adviceFor(health, announced) ?? (maxKbps === undefined ? undefined : throttledAdvice(maxKbps));
  return {
    state: health.state,
    since: health.sinceMs,
    ...(detail === undefined ? {} : { detail }),
    tracks: health.tracks.map(({ track, kind, state }) => {
      const { ssrcs = [] } = announced[track] ?? {};
      const codec = origin.sources[track]?.rtpParameters.codecs[0];
      const hint = codec && playabilityOf(codec);
      return {
        track,
        kind,
        state,
        ...(ssrcs.length > 0 ? { ssrcs: [...ssrcs] } : {}),
        ...(hint === undefined ? {} : { hint }),
      };
    }),
  };
}
