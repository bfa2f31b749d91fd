import { type Beat, beatTime } from './beat.ts';
import { patienceMs, type Sensitivity } from './verdict.ts';

export interface LivenessKnobs {
  /** Longest silence on a trunk in use, ms (10 to 60). */
  heartbeatMs: number;
  /** How often RTT and loss are measured, ms. */
  probeIntervalMs: number;
  sensitivity: Sensitivity;
}

const IDLE_BEAT_MS = 1_000;
/** After promising longer gaps the old pace goes on for this long, so that a lost announcement does not look like a dead trunk. */
const SLOWDOWN_MS = 1_500;
/** An idle trunk carries too little for its loss to be known: as much is allowed for, in each direction, when it comes into use. */
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
    // Late ones of the window before may make it more than came due.
    const loss = Math.min(1, Math.max(0, 1 - came / due));
    this.loss = this.known ? this.loss + (loss - this.loss) * LOSS_WEIGHT : loss;
    this.known = true;
    this.expected = expected;
    this.received = received;
    this.sinceMs = nowMs;
  }
}

/** Heartbeats of one trunk: when the next is due, what they measure, whether the peer's silence means that the trunk is lost. */
export class Liveness {
  rttMs = 0;
  jitterMs = 0;
  /** Probes of the path MTU: those sent, those of the peer that came, and those that it sent as it says. */
  probesSent = 0;
  probesReceived = 0;
  private peerProbes = 0;
  private knobs: LivenessKnobs;
  private readonly lossIn: LossMeter;
  private readonly lossOut: LossMeter;
  private inUse = false;
  private heardMs: number;
  private sentMs = -Infinity;
  private beatMs = -Infinity;
  private probeMs = -Infinity;
  private answerDue = false;
  private peerPromiseMs = IDLE_BEAT_MS;
  private peerWishMs = IDLE_BEAT_MS;
  /** Since when the peer has been asked, with each beat, for shorter gaps than it promised; until it promises them. */
  private askedMs: number | undefined;
  private paceMs = IDLE_BEAT_MS;
  private formerPaceMs = IDLE_BEAT_MS;
  private formerUntilMs = -Infinity;
  private lastBeat: { sentUs: number; atMs: number } | undefined;

  constructor(knobs: LivenessKnobs, nowMs: number) {
    this.knobs = knobs;
    this.heardMs = nowMs;
    this.lossIn = new LossMeter(nowMs);
    this.lossOut = new LossMeter(nowMs);
  }

  /** Share of the peer's datagrams that did not come, and of ours as the peer reports; 0 to 1. */
  get loss(): { in: number; out: number } {
    return { in: this.lossIn.loss, out: this.lossOut.loss };
  }

  setInUse(inUse: boolean, nowMs: number): void {
    if (this.inUse === inUse) return;
    this.inUse = inUse;
    if (!inUse) this.askedMs = undefined;
    this.setPace(nowMs);
    // The peer has to hear the new wish now, not with the next idle beat.
    this.answerDue = true;
  }

  applyKnobs(knobs: LivenessKnobs, nowMs: number): void {
    this.knobs = knobs;
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
      // One that was overtaken says nothing new.
      if (spacingMs <= 0) return;
      this.jitterMs += (Math.abs(nowMs - this.lastBeat.atMs - spacingMs) - this.jitterMs) / 16;
    }
    this.lastBeat = { sentUs, atMs: nowMs };
    this.peerPromiseMs = beat.promiseMs;
    if (beat.promiseMs <= this.ownWishMs()) this.askedMs = undefined;
    if (this.peerWishMs !== beat.wishMs) {
      this.peerWishMs = beat.wishMs;
      if (this.setPace(nowMs)) this.answerDue = true;
    }
    if (beat.answerWanted) this.answerDue = true;
    this.lossOut.update(beat.expected, beat.received, nowMs);
    this.peerProbes += (beat.probesSent - this.peerProbes) & 0xffff;
    if (beat.echo) this.receiveEcho(beat.echo, nowMs);
  }

  /** The next beat to send; `arrivals` are the link's totals. */
  makeBeat(arrivals: { expected: number; received: number }, nowMs: number): Beat {
    // Before the last probe of a round has come this may fall for a moment: the meters wait until it has grown.
    const expected = (arrivals.expected - this.peerProbes) >>> 0;
    const received = (arrivals.received - this.probesReceived) >>> 0;
    this.lossIn.update(expected, received, nowMs);
    const answerWanted = nowMs >= this.probeMs + this.knobs.probeIntervalMs;
    if (answerWanted) this.probeMs = nowMs;
    this.beatMs = nowMs;
    this.answerDue = false;
    if (this.ownWishMs() < this.peerPromiseMs) this.askedMs ??= nowMs;
    const last = this.lastBeat;
    return {
      answerWanted,
      promiseMs: this.paceMs,
      wishMs: this.ownWishMs(),
      sentUs: beatTime(nowMs),
      echo: last && { sentUs: last.sentUs, delayUs: Math.min(0xffff_ffff, Math.round((nowMs - last.atMs) * 1000)) },
      expected,
      received,
      probesSent: this.probesSent,
    };
  }

  /** When the next beat has to go. */
  beatDueMs(nowMs: number): number {
    if (this.answerDue) return nowMs;
    const pace = nowMs < this.formerUntilMs ? Math.min(this.formerPaceMs, this.paceMs) : this.paceMs;
    return Math.min(Math.max(this.sentMs, this.beatMs) + pace, this.probeMs + this.knobs.probeIntervalMs);
  }

  /** When silence becomes a verdict: from then on the trunk is lost. */
  lostDueMs(): number {
    const { jitterMs, peerPromiseMs: promiseMs } = this;
    const brokenMs = this.heardMs + patienceMs({ promiseMs, jitterMs, loss: this.lossIn.loss }, this.knobs.sensitivity);
    return Math.min(brokenMs, this.unansweredDueMs());
  }

  /** A peer that promised long gaps may have died in one: each beat asks it for shorter ones, which it begins at once, a round trip later. */
  private unansweredDueMs(): number {
    if (this.askedMs === undefined || this.rttMs === 0) return Infinity;
    const arrives = (loss: number): number => 1 - Math.max(IDLE_LOSS, loss);
    const loss = 1 - arrives(this.lossIn.loss) * arrives(this.lossOut.loss);
    const question = { promiseMs: this.ownWishMs(), jitterMs: this.jitterMs, loss };
    return Math.max(this.askedMs, this.heardMs) + this.rttMs + patienceMs(question, this.knobs.sensitivity);
  }

  private receiveEcho(echo: { sentUs: number; delayUs: number }, nowMs: number): void {
    const rttMs = (((beatTime(nowMs) - echo.sentUs) >>> 0) - echo.delayUs) / 1000;
    if (rttMs < 0 || rttMs > 60_000) return;
    this.rttMs = this.rttMs === 0 ? rttMs : this.rttMs + (rttMs - this.rttMs) / 8;
  }

  private ownWishMs(): number {
    return this.inUse ? this.knobs.heartbeatMs : IDLE_BEAT_MS;
  }

  private targetMs(): number {
    return Math.max(10, Math.min(this.ownWishMs(), this.peerWishMs));
  }

  /** Whether the pace changed. */
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
