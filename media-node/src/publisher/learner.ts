import type { Clock, Logger } from '@millrace/service';
import type { types } from 'mediasoup';
import type { Origin } from '../media/index.ts';
import { attribute, type Suspect, type SuspectTrack } from './attribution.ts';
import type { Finding } from './health.ts';
import type { UnclaimedPackets } from './unclaimed.ts';

/** After a probe that changed nothing the next one waits this long, doubling up to the longest. */
const INITIAL_PROBE_WAIT_MS = 1000;
const MAX_PROBE_WAIT_MS = 30_000;
/** What was learned has been right if packets came within this time. */
const TRIAL_MS = 2000;
/** A publisher that was well for this long is probed at once again when something changes. */
const WELL_MS = 10_000;

/** A finding is forgotten when no unclaimed packet has come for this long. */
const MAX_FINDING_AGE_MS = 3000;

interface Trial {
  track: number;
  ssrc: number | undefined;
  encodings: types.RtpEncodingParameters[];
  startedMs: number;
}

/** Learns by which SSRCs one publisher's tracks come, where the description does not say it or says it wrongly. */
export class SsrcLearner {
  readonly #origin: Origin;
  readonly #isPlain: boolean;
  readonly #isEncrypted: boolean;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #tried = new Set<number>();
  readonly #namesTried = new Set<number>();
  #trials: Trial[] = [];
  #probes = 0;
  #probedMs = -Infinity;
  #wellSinceMs: number | undefined;
  #unclaimedMs = -Infinity;
  finding: Finding | undefined;

  constructor(parts: { origin: Origin; isPlain: boolean; isEncrypted: boolean; logger: Logger; clock: Clock }) {
    this.#origin = parts.origin;
    this.#isPlain = parts.isPlain;
    this.#isEncrypted = parts.isEncrypted;
    this.#logger = parts.logger;
    this.#clock = parts.clock;
  }

  /** Whether a probe of the worker is due, given that packets of no track arrive. */
  isDue(nowMs: number): boolean {
    const waitMs = this.#probes === 0 ? 0 : Math.min(INITIAL_PROBE_WAIT_MS * 2 ** (this.#probes - 1), MAX_PROBE_WAIT_MS);
    return this.#trials.length === 0 && nowMs >= this.#probedMs + waitMs;
  }

  /** @param flowing tracks whose packets reach the worker's producers */
  suspect(flowing: ReadonlySet<number>): Suspect {
    const tracks = this.#origin.sources.map((source, track): SuspectTrack => {
      const { codecs, encodings = [], headerExtensions = [] } = source.rtpParameters;
      const isSingle = encodings.length === 1 && encodings[0]!.rid === undefined;
      const hasMid = headerExtensions.some(({ uri }) => uri === 'urn:ietf:params:rtp-hdrext:sdes:mid');
      const hasRids = encodings.length > 0 && encodings.every(({ rid }) => rid !== undefined);
      return {
        track,
        payloadType: codecs[0]!.payloadType,
        rtxPayloadType: codecs[1]?.payloadType,
        ssrcs: encodings.flatMap(({ ssrc }) => (ssrc === undefined ? [] : [ssrc])),
        bySsrc: isSingle,
        byName: ((isSingle && hasMid) || hasRids) && !this.#namesTried.has(track),
        isFlowing: flowing.has(track),
      };
    });
    return { tracks, isPlain: this.#isPlain, isEncrypted: this.#isEncrypted, tried: this.#tried };
  }

  /** Acts on what a probe saw. */
  async learn(suspect: Suspect, seen: UnclaimedPackets, others: readonly Suspect[]): Promise<void> {
    this.#probes += 1;
    this.#probedMs = this.#clock.now();
    const { remedies, finding } = attribute(suspect, seen, others);
    this.finding = finding;
    for (const { track, ssrc } of remedies) {
      const encodings = this.#origin.sources[track]?.rtpParameters.encodings ?? [{}];
      await this.#origin.rebind(
        track,
        encodings.map((encoding) => knownBy(encoding, ssrc)),
      );
      this.#trials.push({ track, ssrc, encodings, startedMs: this.#clock.now() });
    }
  }

  /**
   * Judges the trials; call at each look.
   * @param flowing as for `suspect`
   * @param isWell all tracks pass the gate
   * @param isUnclaimed packets of no track arrive
   */
  async settle(flowing: ReadonlySet<number>, isWell: boolean, isUnclaimed: boolean): Promise<void> {
    const nowMs = this.#clock.now();
    if (isUnclaimed) this.#unclaimedMs = nowMs;
    if (isWell || nowMs - this.#unclaimedMs > MAX_FINDING_AGE_MS) this.finding = undefined;
    this.#wellSinceMs = isWell ? (this.#wellSinceMs ?? nowMs) : undefined;
    if (this.#wellSinceMs !== undefined && nowMs - this.#wellSinceMs >= WELL_MS) {
      this.#probes = 0;
      this.#tried.clear();
      this.#namesTried.clear();
    }
    const trials = this.#trials;
    this.#trials = [];
    for (const trial of trials) {
      if (flowing.has(trial.track)) this.#accept(trial);
      else if (nowMs - trial.startedMs < TRIAL_MS) this.#trials.push(trial);
      else await this.#undo(trial);
    }
  }

  #accept({ track, ssrc, encodings }: Trial): void {
    this.finding = undefined;
    const announced = encodings.flatMap((encoding) => (encoding.ssrc === undefined ? [] : [encoding.ssrc]));
    this.#logger.info({ track, ...(ssrc === undefined ? {} : { ssrc }), announced }, 'learned the SSRC of a publisher');
  }

  async #undo({ track, ssrc, encodings }: Trial): Promise<void> {
    if (ssrc === undefined) this.#namesTried.add(track);
    else this.#tried.add(ssrc);
    await this.#origin.rebind(track, encodings);
  }
}

/** @param ssrc undefined: MID or RID decides */
function knownBy(encoding: types.RtpEncodingParameters, ssrc: number | undefined): types.RtpEncodingParameters {
  const { ssrc: _ssrc, rtx: _rtx, ...rest } = encoding;
  return ssrc === undefined ? rest : { ...rest, ssrc };
}
