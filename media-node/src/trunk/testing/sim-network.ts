import type { Clock, Timer } from '@millrace/service';
import type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from '../io/datagram.ts';

/** Seeded random numbers (mulberry32), so that a failing run can be had again. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** What happens to datagrams on their way. */
export interface Path {
  delayMs: number;
  /** Each datagram is late by up to this much more, which also reorders. */
  jitterMs: number;
  loss: number;
  duplication: number;
}

export const CLEAN: Path = { delayMs: 10, jitterMs: 0, loss: 0, duplication: 0 };

interface SimEvent extends Timer {
  atMs: number;
  order: number;
  run: (() => void) | undefined;
}

/** A network in virtual time: sockets, a clock, and paths that lose, delay, reorder and double. Nothing happens but in `run`. */
export class SimNetwork {
  /** Of all datagrams; may be changed at any time. */
  path: Path = { ...CLEAN };
  /** Sees each datagram; false loses it. */
  filter: (datagram: OutgoingDatagram, from: PeerAddress) => boolean = () => true;
  readonly random: () => number;
  private nowMs = 1_000;
  private order = 0;
  private readonly events: SimEvent[] = [];
  private readonly sockets = new Map<string, SimIo>();

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  readonly clock: Clock = {
    now: () => this.nowMs,
    wall: () => 1_700_000_000_000 + this.nowMs,
    setTimeout: (fn, ms) => this.at(this.nowMs + Math.max(0, ms), fn),
    clearTimeout: (timer) => {
      if (timer) (timer as SimEvent).run = undefined;
    },
  };

  readonly defer = (fn: () => void): void => void this.at(this.nowMs, fn);

  readonly randomBytes = (bytes: number): Buffer =>
    Buffer.from(Array.from({ length: bytes }, () => Math.floor(this.random() * 256)));

  socket(address: string, port = 40_100): SimIo {
    const io = new SimIo(this, { address, port });
    this.sockets.set(key(io.local), io);
    return io;
  }

  /** Another address for a socket that goes on living, as after a NAT's restart. */
  move(io: SimIo, address: string): void {
    this.sockets.delete(key(io.local));
    io.local = { ...io.local, address };
    this.sockets.set(key(io.local), io);
  }

  remove(io: SimIo): void {
    if (this.sockets.get(key(io.local)) === io) this.sockets.delete(key(io.local));
  }

  /** Lets this much time pass. */
  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const next = this.pop(endMs);
      if (!next) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run?.();
    }
    this.nowMs = endMs;
  }

  /** Time passes without anyone getting to run: the process was held up. */
  stall(ms: number): void {
    this.nowMs += ms;
  }

  transmit(datagram: OutgoingDatagram, from: PeerAddress): void {
    if (!this.filter(datagram, from) || this.random() < this.path.loss) return;
    const copies = this.random() < this.path.duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const atMs = this.nowMs + this.path.delayMs + this.random() * this.path.jitterMs;
      const data = Buffer.from(datagram.data);
      this.at(atMs, () => this.sockets.get(key(datagram.to))?.receive({ data, from }));
    }
  }

  at(atMs: number, run: () => void): Timer {
    const event: SimEvent = { atMs, order: this.order++, run, unref: () => undefined };
    let index = this.events.length;
    while (index > 0 && later(this.events[index - 1]!, event)) index--;
    this.events.splice(index, 0, event);
    return event;
  }

  private pop(untilMs: number): SimEvent | undefined {
    const first = this.events[0];
    return first && first.atMs <= untilMs ? this.events.shift() : undefined;
  }
}

function later(a: SimEvent, b: SimEvent): boolean {
  return a.atMs > b.atMs || (a.atMs === b.atMs && a.order > b.order);
}

function key(address: PeerAddress): string {
  return `${address.address} ${address.port}`;
}

/** One socket of a SimNetwork. */
export class SimIo implements DatagramIo {
  local: PeerAddress;
  readonly counters = { sendErrors: 0, sendDrops: 0 };
  onBatch: (batch: ReceivedDatagram[]) => void = () => {};
  private readonly network: SimNetwork;

  constructor(network: SimNetwork, local: PeerAddress) {
    this.network = network;
    this.local = local;
  }

  sendBatch(batch: OutgoingDatagram[]): void {
    for (const datagram of batch) this.network.transmit(datagram, this.local);
  }

  receive(datagram: ReceivedDatagram): void {
    this.onBatch([datagram]);
  }

  resolve(host: string): Promise<string> {
    return Promise.resolve(host);
  }

  close(): Promise<void> {
    this.network.remove(this);
    return Promise.resolve();
  }
}
