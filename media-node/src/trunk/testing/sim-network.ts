import { LinkModel, PERFECT_LINK, type LinkProfile } from '@millrace/link-emulator';
import { seededRandom } from '@millrace/service';
import type { Clock, Timer } from '@millrace/service';
import type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from '../io/datagram.ts';

/** Jitter reorders datagrams, which a trunk has to tolerate. */
const CLEAN: Partial<LinkProfile> = { delayMs: 10, keepsOrder: false };

interface SimEvent extends Timer {
  atMs: number;
  order: number;
  run: (() => void) | undefined;
}

/** Sockets and a clock in virtual time, connected by emulated links. Time passes only in `run` and `stall`. */
export class SimNetwork {
  /** Called for each datagram; false drops it. */
  filter: (datagram: OutgoingDatagram, from: PeerAddress) => boolean = () => true;
  readonly random: () => number;
  private profile: Partial<LinkProfile> = CLEAN;
  private readonly links = new Map<string, LinkModel>();
  private nowMs = 1_000;
  private order = 0;
  private readonly events: SimEvent[] = [];
  private readonly sockets = new Map<string, SimIo>();

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** The profile of all links; setting it changes them all, also those that `link` changed before. */
  get path(): Partial<LinkProfile> {
    return this.profile;
  }

  set path(profile: Partial<LinkProfile>) {
    this.profile = profile;
    for (const link of this.links.values()) link.change({ ...PERFECT_LINK, ...profile }, this.nowMs);
  }

  /** One direction between two addresses. */
  link(from: string, to: string): LinkModel {
    const key = `${from} ${to}`;
    let link = this.links.get(key);
    if (!link) {
      link = new LinkModel(this.profile, this.random);
      this.links.set(key, link);
    }
    return link;
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

  /** Gives a live socket another address, as after a restart of a NAT. */
  move(io: SimIo, address: string): void {
    this.sockets.delete(key(io.local));
    io.local = { ...io.local, address };
    this.sockets.set(key(io.local), io);
  }

  remove(io: SimIo): void {
    if (this.sockets.get(key(io.local)) === io) this.sockets.delete(key(io.local));
  }

  /** Runs all events of this much time. */
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

  /** Advances the clock without running events: the process stalls. */
  stall(ms: number): void {
    this.nowMs += ms;
  }

  transmit(datagram: OutgoingDatagram, from: PeerAddress): void {
    if (!this.filter(datagram, from)) return;
    for (const { atMs } of this.link(from.address, datagram.to.address).offer(datagram.data.length, this.nowMs)) {
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

  resolve(host: string): Promise<string[]> {
    return Promise.resolve([host]);
  }

  close(): Promise<void> {
    this.network.remove(this);
    return Promise.resolve();
  }
}
