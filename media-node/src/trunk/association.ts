import { Arq } from './arq/arq.ts';
import { SEGMENT_HEADER_BYTES } from './arq/segment.ts';
import { FecDecoder } from './fec/decoder.ts';
import {
  Envelope,
  ENVELOPE_BYTES,
  FORWARD_BYTES,
  FRAME_HEADER_BYTES,
  frameRoom,
  FrameType,
  readFrames,
  SHARD_HEADER_BYTES,
} from './frames.ts';
import { livenessKnobs, type TrunkKnobs } from './knobs.ts';
import { Capability, type Hello } from './link/hello.ts';
import { MAX_DATAGRAM } from './link/wire.ts';
import { readBeat } from './liveness/beat.ts';
import { Liveness, LossMeter } from './liveness/liveness.ts';
import { Outbox } from './scheduling/outbox.ts';

/** Largest payload of `sendMedia`: one datagram of the path MTU assumed, less what every layer adds. */
export const MAX_MEDIA_PAYLOAD = frameRoom(MAX_DATAGRAM) - FRAME_HEADER_BYTES - SEGMENT_HEADER_BYTES;

/** A resend comes too late to be repeated once more, so it goes so often that it is lost as rarely as this. */
const RESEND_LOSS = 1e-6;
const MAX_RESEND_COPIES = 6;
/** Below this, loss is not told from what is still on its way. */
const LOSSY = 0.005;

const DROPS_MS = 200;

/** Times that a resend goes, where this share of datagrams is lost. */
export function resendCopies(loss: number): number {
  if (loss <= LOSSY) return 1;
  return Math.min(MAX_RESEND_COPIES, Math.ceil(Math.log(RESEND_LOSS) / Math.log(Math.min(0.9, loss))));
}

export interface AssociationHooks {
  onMedia: (conversation: number, payload: Buffer) => void;
  onControl: (message: Buffer) => void;
  onClose: () => void;
  transmit: (plaintext: Buffer) => number;
  isHeldUp: (nowMs: number) => boolean;
  arrivals: () => { expected: number; received: number };
}

/** All that two nodes know of what they sent each other: from one 'up' to the next 'lost', over any number of sessions. */
export class Association {
  readonly arq: Arq;
  readonly liveness: Liveness;
  readonly outbox: Outbox;
  readonly decoder: FecDecoder;
  malformed = 0;
  private readonly hooks: AssociationHooks;
  private nowMs: number;
  private ended = false;
  private readonly drops: LossMeter;
  private dropsDueMs = -Infinity;

  constructor(hello: Hello, knobs: TrunkKnobs, hooks: AssociationHooks, nowMs: number) {
    this.hooks = hooks;
    this.nowMs = nowMs;
    this.arq = new Arq(knobs.kcp, MAX_MEDIA_PAYLOAD, {
      onMedia: (conversation, payload) => hooks.onMedia(conversation, payload),
      onControl: (message) => hooks.onControl(message),
      resend: (conversation, serial) => this.outbox.queues.pushResend(conversation, serial),
      rtt: (rttMs, nowMs) => {
        // What lay in our own socket while we were held up says nothing of the way.
        if (!hooks.isHeldUp(nowMs)) this.outbox.rate.rtt(rttMs, nowMs);
      },
    });
    this.arq.mayAbandon = (hello.capabilities & Capability.forward) !== 0;
    this.arq.peerWindow = hello.receiveWindow;
    this.liveness = new Liveness(livenessKnobs(knobs), nowMs);
    this.drops = new LossMeter(nowMs);
    this.outbox = new Outbox({
      arq: this.arq,
      liveness: this.liveness,
      peerTakesFec: (hello.capabilities & Capability.fec) !== 0,
      knobs,
      nowMs,
      transmit: hooks.transmit,
      arrivals: hooks.arrivals,
    });
    this.decoder = new FecDecoder((frames) => this.receiveFrames(frames, 0));
  }

  applyKnobs(knobs: TrunkKnobs, nowMs: number): void {
    this.arq.knobs = knobs.kcp;
    this.liveness.applyKnobs(livenessKnobs(knobs), nowMs);
    this.outbox.applyKnobs(knobs, nowMs);
  }

  /** Plaintext of a data datagram. */
  receive(plaintext: Buffer, nowMs: number): void {
    if (this.ended) return;
    this.nowMs = nowMs;
    this.liveness.heard(nowMs);
    switch (plaintext[0]) {
      case Envelope.plain:
        return this.receiveFrames(plaintext, ENVELOPE_BYTES);
      case Envelope.shard:
      case Envelope.parity:
        return this.receiveShard(plaintext);
      default:
        this.malformed++;
    }
  }

  /** Resends, gives up, sends; returns when to come again. `heldUp`: acknowledgements may lie unread, so that nothing is overdue yet. */
  flush(nowMs: number, heldUp: boolean): number {
    this.adaptToLoss();
    if (!heldUp) this.arq.service(nowMs);
    this.meterDrops(nowMs);
    const outboxDueMs = this.outbox.flush(nowMs);
    return Math.min(outboxDueMs, this.arq.nextDueMs(nowMs));
  }

  private adaptToLoss(): void {
    const { arq } = this;
    const { in: lossIn, out: lossOut } = this.liveness.loss;
    // What a full way dropped must not be sent five times.
    arq.resendCopies = this.outbox.rate.bytesPerMs < Infinity ? 1 : resendCopies(lossOut);
    arq.repeatsAcks = lossOut > LOSSY;
    arq.rtt.slackMs = this.outbox.parityDelayMs + (lossIn > LOSSY ? arq.knobs.intervalMs : 0);
  }

  /** Share of what was to be sent that was not, 0 to 1: no room, no time, or nothing to build on. */
  get dropped(): number {
    return this.drops.loss;
  }

  private meterDrops(nowMs: number): void {
    if (nowMs < this.dropsDueMs) return;
    this.dropsDueMs = nowMs + DROPS_MS;
    const { overdue, crowdedOut, broken, offered } = this.outbox.queues.counters;
    let gone = this.outbox.counters.windowFull + this.arq.counters.abandoned;
    for (const { audio, videoBase, video, probe } of [overdue, crowdedOut, broken]) gone += audio + videoBase + video + probe;
    // A trickle of what went well lets the figure fade when nothing is sent any more.
    const trickle = Math.floor(nowMs / DROPS_MS);
    this.drops.update(offered + trickle, Math.max(0, offered - gone) + trickle, nowMs);
  }

  /** Nothing that is still being read counts any more. */
  end(): void {
    this.ended = true;
    this.outbox.queues.clear();
  }

  private receiveShard(plaintext: Buffer): void {
    const isParity = plaintext[0] === Envelope.parity;
    const verdict = isParity ? this.decoder.receiveParity(plaintext) : this.decoder.receiveShard(plaintext);
    if (verdict === 'malformed') this.malformed++;
    if (verdict !== 'new') return;
    if (!isParity) this.receiveFrames(plaintext, SHARD_HEADER_BYTES);
    this.decoder.settle(plaintext);
  }

  private receiveFrames(bytes: Buffer, offset: number): void {
    if (!readFrames(bytes, offset, this.takeFrame)) this.malformed++;
  }

  private readonly takeFrame = (type: number, body: Buffer): boolean => {
    if (this.ended) return true;
    switch (type) {
      case FrameType.segments:
        return this.arq.receive(body, this.nowMs);
      case FrameType.beat: {
        const beat = readBeat(body);
        if (beat) this.liveness.receiveBeat(beat, this.nowMs);
        return beat !== undefined;
      }
      case FrameType.forward:
        return this.receiveForwards(body);
      case FrameType.close:
        this.hooks.onClose();
        return true;
      default:
        return true;
    }
  };

  private receiveForwards(body: Buffer): boolean {
    for (let offset = 0; offset + FORWARD_BYTES <= body.length; offset += FORWARD_BYTES) {
      this.arq.receiveForward(body.readUInt32LE(offset), body.readUInt32LE(offset + 4), this.nowMs);
    }
    return body.length % FORWARD_BYTES === 0;
  }
}
