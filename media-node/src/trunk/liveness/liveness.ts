import { type Beat, beatTime } from './beat.ts';
import { silenceTimeoutMs, type Sensitivity } from './verdict.ts';

export interface LivenessSettings {
  /** Longest gap between datagrams on a trunk in use, ms (10 to 60). */
  heartbeatMs: number;
  /** How often RTT and loss are measured, ms. */
  probeIntervalMs: number;
  sensitivity: Sensitivity;
}

const IDLE_BEAT_MS = 1_000;
/** After announcing longer gaps the old interval is kept for this long, so that a lost announcement does not look like a dead trunk. */
const SLOWDOWN_MS = 1_500;
/** Loss assumed in each direction when an idle trunk comes into use: it carried too little for a measurement. */
const IDLE_LOSS = 0.1;
const LOSS_WINDOW_MS = 500;
const LOSS_WINDOW_DATAGRAMS = 10;
const LOSS_WEIGHT = 0.25;

/** Share of lost datagrams from two growing totals, smoothed over windows of half a second or more. */
export class LossMeter {
  loss = 0;
  private expected = 0;
  private received = 0;
  private sinceMs: number;
  private known = false;

  constructor(nowMs: number) {
    this.sinceMs = nowMs;
  }

  /** Totals modulo 2^32. */
  update(expected: number, received: number, nowMs: number): void {
    const due = (expected - this.expected) | 0;
    if (nowMs - this.sinceMs < LOSS_WINDOW_MS || due < LOSS_WINDOW_DATAGRAMS) return;
    const came = (received - this.received) | 0;
    // Late datagrams of the previous window can make the count exceed what was due.
    const loss = Math.min(1, Math.max(0, 1 - came / due));
    this.loss = this.known ? this.loss + (loss - this.loss) * LOSS_WEIGHT : loss;
    this.known = true;
    this.expected = expected;
    this.received = received;
    this.sinceMs = nowMs;
  }
}

/** Heartbeats of one trunk: schedules them, measures RTT, jitter and loss with them, and decides when silence means that the trunk is lost. */
export class Liveness {
  rttMs = 0;
  jitterMs = 0;
  /** Path MTU probes: sent, received from the peer, and sent by the peer as it reports. */
  probesSent = 0;
  probesReceived = 0;
  private peerProbes = 0;
  private settings: LivenessSettings;
  private readonly lossIn: LossMeter;
  private readonly lossOut: LossMeter;
  private inUse = false;
  private heardMs: number;
  private sentMs = -Infinity;
  private beatMs = -Infinity;
  private probeMs = -Infinity;
  private answerDue = false;
  private peerMaxGapMs = IDLE_BEAT_MS;
  private peerRequestedGapMs = IDLE_BEAT_MS;
  /** Since when, ms, each heartbeat has asked the peer for shorter gaps than it announced; undefined once it announces them. */
  private askedMs: number | undefined;
  private paceMs = IDLE_BEAT_MS;
  private formerPaceMs = IDLE_BEAT_MS;
  private formerUntilMs = -Infinity;
  private lastBeat: { sentUs: number; atMs: number } | undefined;

  constructor(settings: LivenessSettings, nowMs: number) {
    this.settings = settings;
    this.heardMs = nowMs;
    this.lossIn = new LossMeter(nowMs);
    this.lossOut = new LossMeter(nowMs);
  }

  /** Loss of the peer's datagrams, and of ours as the peer reports; 0 to 1. */
  get loss(): { in: number; out: number } {
    return { in: this.lossIn.loss, out: this.lossOut.loss };
  }

  setInUse(inUse: boolean, nowMs: number): void {
    if (this.inUse === inUse) return;
    this.inUse = inUse;
    if (!inUse) this.askedMs = undefined;
    this.setPace(nowMs);
    // Announce the new requested interval now, not with the next idle heartbeat.
    this.answerDue = true;
  }

  applySettings(settings: LivenessSettings, nowMs: number): void {
    this.settings = settings;
    if (this.setPace(nowMs)) this.answerDue = true;
  }

  heard(nowMs: number): void {
    this.heardMs = nowMs;
  }

  sent(nowMs: number): void {
    this.sentMs = nowMs;
  }

  receiveBeat(beat: Beat, nowMs: number): void {
    const sentUs = beat.sentUs;
    if (this.lastBeat) {
      const spacingMs = ((sentUs - this.lastBeat.sentUs) | 0) / 1000;
      // A heartbeat that was overtaken is outdated.
      if (spacingMs <= 0) return;
      this.jitterMs += (Math.abs(nowMs - this.lastBeat.atMs - spacingMs) - this.jitterMs) / 16;
    }
    this.lastBeat = { sentUs, atMs: nowMs };
    this.peerMaxGapMs = beat.maxGapMs;
    if (beat.maxGapMs <= this.ownRequestedGapMs()) this.askedMs = undefined;
    if (this.peerRequestedGapMs !== beat.requestedGapMs) {
      this.peerRequestedGapMs = beat.requestedGapMs;
      if (this.setPace(nowMs)) this.answerDue = true;
    }
    if (beat.answerWanted) this.answerDue = true;
    this.lossOut.update(beat.expected, beat.received, nowMs);
    this.peerProbes += (beat.probesSent - this.peerProbes) & 0xffff;
    if (beat.echo) this.receiveEcho(beat.echo, nowMs);
  }

  /** Builds the next heartbeat; `arrivals` are the link's totals. */
  makeBeat(arrivals: { expected: number; received: number }, nowMs: number): Beat {
    // This may decrease until the last probe of a round has arrived: the meters wait until it grows.
    const expected = (arrivals.expected - this.peerProbes) >>> 0;
    const received = (arrivals.received - this.probesReceived) >>> 0;
    this.lossIn.update(expected, received, nowMs);
    const answerWanted = nowMs >= this.probeMs + this.settings.probeIntervalMs;
    if (answerWanted) this.probeMs = nowMs;
    this.beatMs = nowMs;
    this.answerDue = false;
    if (this.ownRequestedGapMs() < this.peerMaxGapMs) this.askedMs ??= nowMs;
    const last = this.lastBeat;
    return {
      answerWanted,
      maxGapMs: this.paceMs,
      requestedGapMs: this.ownRequestedGapMs(),
      sentUs: beatTime(nowMs),
      echo: last && { sentUs: last.sentUs, delayUs: Math.min(0xffff_ffff, Math.round((nowMs - last.atMs) * 1000)) },
      expected,
      received,
      probesSent: this.probesSent,
    };
  }

  /** When the next heartbeat is due, ms. */
  beatDueMs(nowMs: number): number {
    if (this.answerDue) return nowMs;
    const pace = nowMs < this.formerUntilMs ? Math.min(this.formerPaceMs, this.paceMs) : this.paceMs;
    return Math.min(Math.max(this.sentMs, this.beatMs) + pace, this.probeMs + this.settings.probeIntervalMs);
  }

  /** When the trunk counts as lost unless the peer is heard before, ms. */
  lostDueMs(): number {
    const { jitterMs, peerMaxGapMs: maxGapMs } = this;
    const brokenMs = this.heardMs + silenceTimeoutMs({ maxGapMs, jitterMs, loss: this.lossIn.loss }, this.settings.sensitivity);
    return Math.min(brokenMs, this.unansweredDueMs());
  }

  /** A peer that announced long gaps may die within one. Each heartbeat asks for shorter gaps, which a live peer starts within a round trip. */
  private unansweredDueMs(): number {
    if (this.askedMs === undefined || this.rttMs === 0) return Infinity;
    const arrives = (loss: number): number => 1 - Math.max(IDLE_LOSS, loss);
    const loss = 1 - arrives(this.lossIn.loss) * arrives(this.lossOut.loss);
    const silence = { maxGapMs: this.ownRequestedGapMs(), jitterMs: this.jitterMs, loss };
    return Math.max(this.askedMs, this.heardMs) + this.rttMs + silenceTimeoutMs(silence, this.settings.sensitivity);
  }

  private receiveEcho(echo: { sentUs: number; delayUs: number }, nowMs: number): void {
    const rttMs = (((beatTime(nowMs) - echo.sentUs) >>> 0) - echo.delayUs) / 1000;
    if (rttMs < 0 || rttMs > 60_000) return;
    this.rttMs = this.rttMs === 0 ? rttMs : this.rttMs + (rttMs - this.rttMs) / 8;
  }

  private ownRequestedGapMs(): number {
    return this.inUse ? this.settings.heartbeatMs : IDLE_BEAT_MS;
  }

  private targetMs(): number {
    return Math.max(10, Math.min(this.ownRequestedGapMs(), this.peerRequestedGapMs));
  }

  /** Returns whether the interval changed. */
  private setPace(nowMs: number): boolean {
    const target = this.targetMs();
    if (target === this.paceMs) return false;
    if (target > this.paceMs) {
      this.formerPaceMs = this.paceMs;
      this.formerUntilMs = nowMs + SLOWDOWN_MS;
    }
    this.paceMs = target;
    return true;
  }
}
