import { randomInt } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { canonicalHost, ipFamilyOf } from '@millrace/api';
import { setBufferSizes, type SocketAddress } from './rtp-sockets.ts';
import { SequenceRestarts } from './sequence-restarts.ts';

export interface PublisherPortRequest {
  /** Chosen by the caller. */
  id: string;
  /** IP address to listen on; `::` takes IPv6 only. */
  bind: string;
  /** A free port of this range is taken. */
  ports: { min: number; max: number };
  /** Where the publisher sends from, and receives RTCP. */
  publisher: SocketAddress;
  /** The media worker's socket on loopback. */
  worker: SocketAddress;
}

export interface PublisherPortAddresses {
  /** The port that the publisher sends to. */
  port: number;
  /** Where its packets come from, as the worker sees them. */
  from: SocketAddress;
}

/** The worker only counts packets from other addresses, for the publisher's status; a flood of them is not passed on. */
const FOREIGN_INTERVAL_MS = 50;

/**
 * The port of a plain RTP publisher without encryption, in front of the media worker, which would drop the beginning of each new sequence
 * (see SequenceRestarts). RTP and RTCP pass unchanged in both directions.
 */
export class PublisherPort {
  readonly addresses: PublisherPortAddresses;
  readonly #publisher: SocketAddress;
  readonly #worker: SocketAddress;
  /** Towards the publisher. */
  readonly #outer: Socket;
  /** Towards the worker, which knows the publisher by its address. */
  readonly #inner: Socket;
  /** Towards the worker, for packets from other addresses than the publisher's; opened for the first one. */
  #foreign: Socket | undefined;
  #foreignSentMs = -Infinity;
  readonly #restarts = new SequenceRestarts();
  readonly #now: () => number;
  /** The publisher's IP address as the socket writes it. */
  #knownAs: string;

  /** @throws Error when no port of the range is free */
  static async open(request: Omit<PublisherPortRequest, 'id'>, now: () => number): Promise<PublisherPort> {
    const outer = await openInRange(request.bind, request.ports);
    try {
      return new PublisherPort(request, now, outer, await openTowards(request.worker));
    } catch (error) {
      outer.close();
      throw error;
    }
  }

  private constructor({ publisher, worker }: Omit<PublisherPortRequest, 'id'>, now: () => number, outer: Socket, inner: Socket) {
    this.#publisher = { ip: canonicalHost(publisher.ip), port: publisher.port };
    this.#knownAs = this.#publisher.ip;
    this.#worker = worker;
    this.#now = now;
    this.#outer = outer;
    this.#inner = inner;
    const { address, port } = inner.address();
    this.addresses = { port: outer.address().port, from: { ip: address, port } };
    for (const socket of [outer, inner]) {
      setBufferSizes(socket);
      socket.on('error', () => undefined); // The publisher or the worker is gone, which others notice.
    }
    outer.on('message', (packet, from) => (this.#isPublisher(from) ? this.#pass(packet) : this.#passForeign(packet)));
    inner.on('message', (packet) => outer.send(packet, this.#publisher.port, this.#publisher.ip));
  }

  close(): void {
    this.#outer.close();
    this.#inner.close();
    this.#foreign?.close();
    this.#foreign = undefined;
  }

  #isPublisher({ address, port }: RemoteInfo): boolean {
    if (port !== this.#publisher.port) return false;
    if (address === this.#knownAs) return true;
    if (canonicalHost(address) !== this.#publisher.ip) return false;
    this.#knownAs = address;
    return true;
  }

  #pass(packet: Buffer): void {
    for (const empty of this.#restarts.before(packet)) this.#inner.send(empty);
    this.#inner.send(packet);
  }

  #passForeign(packet: Buffer): void {
    if (this.#now() < this.#foreignSentMs + FOREIGN_INTERVAL_MS) return;
    this.#foreignSentMs = this.#now();
    this.#foreign ??= createSocket('udp4').on('error', () => undefined);
    this.#foreign.send(packet, this.#worker.port, this.#worker.ip);
  }
}

/** The publisher ports of a node, by id. */
export class PublisherPorts {
  readonly #now: () => number;
  readonly #ports = new Map<string, PublisherPort>();

  constructor(now: () => number) {
    this.#now = now;
  }

  async open({ id, ...request }: PublisherPortRequest): Promise<PublisherPortAddresses> {
    const port = await PublisherPort.open(request, this.#now);
    this.#ports.set(id, port);
    return port.addresses;
  }

  close(id: string): void {
    this.#ports.get(id)?.close();
    this.#ports.delete(id);
  }

  closeAll(): void {
    for (const id of [...this.#ports.keys()]) this.close(id);
  }
}

async function openTowards({ ip, port }: SocketAddress): Promise<Socket> {
  const socket = createSocket('udp4');
  await bound(socket, 0, '127.0.0.1');
  await new Promise<void>((resolve) => socket.connect(port, ip, resolve));
  return socket;
}

/** Tries the ports of the range in turn, from a random one on. */
async function openInRange(ip: string, { min, max }: { min: number; max: number }): Promise<Socket> {
  const count = max - min + 1;
  const first = randomInt(count);
  for (let tries = 0; tries < count; tries++) {
    const socket = createSocket({ type: ipFamilyOf(ip) === 6 ? 'udp6' : 'udp4', ipv6Only: ipFamilyOf(ip) === 6 });
    try {
      await bound(socket, min + ((first + tries) % count), ip);
      return socket;
    } catch (error) {
      socket.close();
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
  throw new Error('all are in use');
}

async function bound(socket: Socket, port: number, ip: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port, address: ip, exclusive: true }, resolve);
  });
  socket.removeAllListeners('error');
}
