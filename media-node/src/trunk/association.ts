import { Arq } from './arq/arq.ts';
import { FecDecoder } from './fec/decoder.ts';
import {
  Envelope,
  ENVELOPE_BYTES,
  FORWARD_BYTES,
  FrameType,
  PLAIN_OVERHEAD_BYTES,
  PROBE_BYTES,
  readFrames,
  SHARD_HEADER_BYTES,
} from './frames.ts';
import { livenessSettings, type TrunkSettings } from './settings.ts';
import { Capability, type Hello } from './link/hello.ts';
import { MIN_DATAGRAM } from './link/wire.ts';
import { readBeat } from './liveness/beat.ts';
import { Liveness, LossMeter } from './liveness/liveness.ts';
import { PathMtu } from './mtu/path-mtu.ts';
import { maxSegmentPayload, Outbox } from './scheduling/outbox.ts';

/** There is no time for a second retransmission, so enough copies are sent that all are lost with at most this probability. */
const TARGET_RETRANSMISSION_LOSS = 1e-6;
const MAX_RETRANSMISSION_COPIES = 6;
/** The measured loss of a second or two may be this much below the path's: with one copy fewer, ten times as many retransmissions are lost at 10%. */
const LOSS_MARGIN = 1.5;
/** Below this share, loss cannot be distinguished from datagrams in flight. */
const LOSSY = 0.005;

const DROP_METER_INTERVAL_MS = 200;

/** Number of copies of each retransmission at this loss (0 to 1). */
export function retransmissionCopies(loss: number): number {
  if (loss <= LOSSY) return 1;
  return Math.min(
    MAX_RETRANSMISSION_COPIES,
    Math.ceil(Math.log(TARGET_RETRANSMISSION_LOSS) / Math.log(Math.min(0.9, loss * LOSS_MARGIN))),
  );
}

export interface AssociationHooks {
  onMedia: (conversation: number, payload: Buffer) => void;
  onControl: (message: Buffer) => void;
  onClose: () => void;
  transmit: (plaintext: Buffer) => number;
  isHeldUp: (nowMs: number) => boolean;
  arrivals: () => { expected: number; received: number };
}

/** The transport state that two nodes share from one 'up' to the next 'lost', over any number of sessions. */
export class Association {
  readonly arq: Arq;
  readonly liveness: Liveness;
  readonly outbox: Outbox;
  readonly decoder: FecDecoder;
  readonly mtu = new PathMtu();
  malformed = 0;
  private readonly hooks: AssociationHooks;
  private nowMs: number;
  private readonly peerMaxDatagram: number;
  /** Size of the datagram that is being read, bytes. */
  private datagramBytes = 0;
  private ended = false;
  private readonly drops: LossMeter;
  private dropsDueMs = -Infinity;

  constructor(hello: Hello, settings: TrunkSettings, hooks: AssociationHooks, nowMs: number) {
    this.hooks = hooks;
    this.nowMs = nowMs;
    this.peerMaxDatagram = hello.maxDatagram;
    this.arq = new Arq(settings.kcp, maxSegmentPayload(MIN_DATAGRAM), {
      onMedia: (conversation, payload) => hooks.onMedia(conversation, payload),
      onControl: (message) => hooks.onControl(message),
      retransmit: (conversation, serial) => this.outbox.queues.pushRetransmission(conversation, serial),
      stuck: (nowMs) => this.mtu.suspect(nowMs),
      rtt: (rttMs, nowMs) => {
        // Time that a datagram spent in our own socket during a stall is not part of the path's RTT.
        if (!hooks.isHeldUp(nowMs)) this.outbox.rate.rtt(rttMs, nowMs);
      },
    });
    this.arq.mayAbandon = (hello.capabilities & Capability.forward) !== 0;
    this.arq.peerWindow = hello.receiveWindow;
    this.liveness = new Liveness(livenessSettings(settings), nowMs);
    this.drops = new LossMeter(nowMs);
    this.outbox = new Outbox({
      arq: this.arq,
      liveness: this.liveness,
      peerTakesFec: (hello.capabilities & Capability.fec) !== 0,
      settings,
      nowMs,
      transmit: hooks.transmit,
      arrivals: hooks.arrivals,
    });
    this.decoder = new FecDecoder((frames) => this.receiveFrames(frames, 0));
  }

  applySettings(settings: TrunkSettings, nowMs: number): void {
    this.arq.settings = settings.kcp;
    this.liveness.applySettings(livenessSettings(settings), nowMs);
    this.outbox.applySettings(settings, nowMs);
  }

  /** Plaintext of a data datagram. */
  receive(plaintext: Buffer, nowMs: number): void {
    if (this.ended) return;
    this.nowMs = nowMs;
    this.datagramBytes = plaintext.length + PLAIN_OVERHEAD_BYTES - ENVELOPE_BYTES;
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

  /** Retransmits, abandons overdue segments and sends; returns when to call again, ms. `heldUp`: acknowledgements may be unread, so no timeout counts yet. */
  flush(nowMs: number, heldUp: boolean): number {
    this.adaptToLoss();
    if (!heldUp) this.arq.service(nowMs);
    this.meterDrops(nowMs);
    if (!heldUp && nowMs >= this.mtu.dueMs) this.probePath(nowMs);
    const outboxDueMs = this.outbox.flush(nowMs);
    return Math.min(outboxDueMs, this.arq.nextDueMs(nowMs), heldUp ? Infinity : this.mtu.dueMs);
  }

  private probePath(nowMs: number): void {
    const { mtu, outbox, liveness } = this;
    const before = mtu.size;
    const probes = mtu.service(nowMs, { rttMs: liveness.rttMs, loss: liveness.loss.out });
    if (mtu.size !== before) outbox.setDatagramSize(mtu.size);
    if (probes) outbox.sendProbes(probes, nowMs);
  }

  /** Starts path MTU discovery, up to what the interface and the peer accept. */
  beginMtuSearch(maxDatagram: number, headers: number, nowMs: number): void {
    this.mtu.begin(Math.min(maxDatagram, this.peerMaxDatagram), headers, nowMs);
    this.outbox.setDatagramSize(this.mtu.size);
  }

  private adaptToLoss(): void {
    const { arq } = this;
    const { in: lossIn, out: lossOut } = this.liveness.loss;
    // Several copies would only add load where a congested or too narrow path dropped the segment.
    const mayBeInVain = this.outbox.rate.bytesPerMs < Infinity || this.mtu.isInDoubt;
    arq.retransmissionCopies = mayBeInVain ? 1 : retransmissionCopies(lossOut);
    arq.repeatsAcks = lossOut > LOSSY;
    arq.rtt.slackMs = this.outbox.parityDelayMs + (lossIn > LOSSY ? arq.settings.intervalMs : 0);
  }

  /** Share of media dropped before it was sent, 0 to 1: queue full, overdue, or a broken chain. */
  get dropped(): number {
    return this.drops.loss;
  }

  private meterDrops(nowMs: number): void {
    if (nowMs < this.dropsDueMs) return;
    this.dropsDueMs = nowMs + DROP_METER_INTERVAL_MS;
    const { overdue, evicted, broken, offered } = this.outbox.queues.counters;
    let gone = this.outbox.counters.windowFull + this.arq.counters.abandoned;
    for (const { audio, videoBase, video, probe } of [overdue, evicted, broken]) gone += audio + videoBase + video + probe;
    // A trickle of successes lets the share decay when nothing is sent any more.
    const trickle = Math.floor(nowMs / DROP_METER_INTERVAL_MS);
    this.drops.update(offered + trickle, Math.max(0, offered - gone) + trickle, nowMs);
  }

  /** Ignores everything received from now on. */
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
      case FrameType.probe:
      case FrameType.probeAnswer:
        return this.receiveProbe(type, body);
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

  private receiveProbe(type: number, body: Buffer): boolean {
    if (body.length !== PROBE_BYTES) return false;
    const round = body.readUInt32LE(0);
    const size = body.readUInt16LE(4);
    if (type === FrameType.probeAnswer) this.mtu.answered(round, size);
    else if (size !== this.datagramBytes) return false;
    else {
      this.liveness.probesReceived++;
      this.outbox.answerProbe(round, size);
    }
    return true;
  }
}
