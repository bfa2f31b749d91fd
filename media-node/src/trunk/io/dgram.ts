import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP, isIPv6 } from 'node:net';
import { headerBytes } from '../mtu/path-mtu.ts';
import type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from './datagram.ts';
import { interfaceMtu } from './interface-mtu.ts';

/** Datagrams that the socket may hold back when the kernel's buffer is full; beyond, they are dropped as a full router queue would. */
const MAX_UNSENT = 2048;
/** Datagrams of a batch after which the socket is asked again how many it holds back. */
const LOOK_EVERY = 64;
/** A free port of one family may be taken in the other. */
const MAX_PORT_TRIES = 20;

/**
 * DatagramIo on Node's own UDP sockets: one, or one of each family on the same port, so that an IPv4 address is written in one way only (a socket for
 * both families would say ::ffff:192.0.2.1) and costs what it does on a socket of its own.
 */
export class DgramIo implements DatagramIo {
  readonly local: PeerAddress;
  readonly counters = { sendErrors: 0, sendDrops: 0 };
  onBatch: (batch: ReceivedDatagram[]) => void = () => {};
  /** What the kernel gave of the buffers asked for, bytes; Linux counts its own bookkeeping in, about half. */
  readonly buffers: { asked: number; receive: number; send: number };
  private readonly ipv4: Socket | undefined;
  private readonly ipv6: Socket | undefined;
  private received: ReceivedDatagram[] = [];
  private closed = false;

  /**
   * Binds to `host`, an IP address (0.0.0.0: all of IPv4; `::`: all of both families, of IPv4 alone where the machine has no IPv6), and `port` (0 picks
   * a free one). Buffer sizes are asked for, the kernel may give less.
   */
  static async open(bind: { host: string; port: number; bufferBytes?: number }): Promise<DgramIo> {
    const bytes = bind.bufferBytes ?? 4 * 1024 * 1024;
    const sockets = bind.host === '::' ? await openBoth(bind.port) : [await openSocket(bind.host, bind.port)];
    for (const socket of sockets) {
      socket.setRecvBufferSize(bytes);
      socket.setSendBufferSize(bytes);
    }
    return new DgramIo(sockets, bytes);
  }

  private constructor(sockets: Socket[], asked: number) {
    this.ipv4 = sockets.find((socket) => socket.address().family === 'IPv4');
    this.ipv6 = sockets.find((socket) => socket.address().family === 'IPv6');
    const receive = Math.min(...sockets.map((socket) => socket.getRecvBufferSize()));
    const send = Math.min(...sockets.map((socket) => socket.getSendBufferSize()));
    this.buffers = { asked, receive, send };
    const { address, port } = sockets[0]!.address();
    this.local = { address, port };
    for (const socket of sockets) {
      socket.on('message', (data, from) => this.collect(data, from));
      socket.on('error', () => this.counters.sendErrors++);
    }
  }

  sendBatch(batch: OutgoingDatagram[]): void {
    if (this.closed) return;
    let isFull = false;
    for (let i = 0; i < batch.length; i++) {
      // Without a callback for each datagram, which would cost a turn of the microtask queue: a failure is a loss, which the peer counts.
      if (i % LOOK_EVERY === 0) isFull = this.unsent() >= MAX_UNSENT;
      const { data, to } = batch[i]!;
      const socket = to.address.includes(':') ? this.ipv6 : this.ipv4;
      if (!socket) this.counters.sendErrors++;
      else if (isFull) this.counters.sendDrops++;
      else socket.send(data, to.port, to.address);
    }
  }

  async resolve(host: string): Promise<string[]> {
    const found = isIP(host) ? [host] : (await lookup(host, { all: true })).map(({ address }) => address);
    return found.filter((address) => (isIPv6(address) ? this.ipv6 : this.ipv4) !== undefined);
  }

  async maxDatagramTo({ address }: PeerAddress): Promise<number> {
    return (await interfaceMtu(address)) - headerBytes(address);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await Promise.all([this.ipv4, this.ipv6].flatMap((socket) => (socket ? [closeSocket(socket)] : [])));
  }

  private unsent(): number {
    return (this.ipv4?.getSendQueueCount() ?? 0) + (this.ipv6?.getSendQueueCount() ?? 0);
  }

  /** All datagrams of one poll make one batch: setImmediate runs right after the poll phase. */
  private collect(data: Buffer, from: PeerAddress): void {
    if (this.received.length === 0) setImmediate(this.deliver);
    this.received.push({ data, from });
  }

  private readonly deliver = (): void => {
    const batch = this.received;
    this.received = [];
    if (!this.closed) this.onBatch(batch);
  };
}

/** A socket of each family that the machine has, on one port. */
async function openBoth(port: number): Promise<Socket[]> {
  for (let tries = 1; ; tries++) {
    const ipv4 = await openSocket('0.0.0.0', port);
    try {
      return [ipv4, await openSocket('::', ipv4.address().port)];
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') return [ipv4];
      await closeSocket(ipv4);
      if (code !== 'EADDRINUSE' || port !== 0 || tries === MAX_PORT_TRIES) throw error;
    }
  }
}

async function openSocket(host: string, port: number): Promise<Socket> {
  const family = isIPv6(host) ? 6 : 4;
  const socket = createSocket({
    type: `udp${family}`,
    ipv6Only: family === 6,
    // Addresses are literals here; Node's own lookup would cost each datagram a turn of the event loop.
    lookup: (literal, _options, done) => done(null, literal, family),
  });
  // Listened for before binding: with a lookup that answers at once, so does bind.
  const listening = once(socket, 'listening');
  socket.bind({ address: host, port, exclusive: true });
  try {
    await listening;
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

async function closeSocket(socket: Socket): Promise<void> {
  const closing = once(socket, 'close');
  socket.close();
  await closing;
}
