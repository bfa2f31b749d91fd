import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { headerBytes } from '../mtu/path-mtu.ts';
import type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from './datagram.ts';
import { interfaceMtu } from './interface-mtu.ts';

/** Datagrams that the socket may hold back when the kernel's buffer is full; beyond, they are dropped as a full router queue would. */
const MAX_UNSENT = 2048;
/** Datagrams of a batch after which the socket is asked again how many it holds back. */
const LOOK_EVERY = 64;

/** DatagramIo on Node's own UDP socket. */
export class DgramIo implements DatagramIo {
  readonly local: PeerAddress;
  readonly counters = { sendErrors: 0, sendDrops: 0 };
  onBatch: (batch: ReceivedDatagram[]) => void = () => {};
  /** What the kernel gave of the buffers asked for, bytes; Linux counts its own bookkeeping in, about half. */
  readonly buffers: { asked: number; receive: number; send: number };
  private readonly socket: Socket;
  private received: ReceivedDatagram[] = [];
  private closed = false;

  /** Binds to `host` (an IP literal; 0.0.0.0 for all) and `port` (0 picks a free one). Buffer sizes are asked for, the kernel may give less. */
  static async open(bind: { host: string; port: number; bufferBytes?: number }): Promise<DgramIo> {
    const family = isIP(bind.host) === 6 ? 6 : 4;
    const socket = createSocket({
      type: `udp${family}`,
      // Addresses are literals here; Node's own lookup would cost each datagram a turn of the event loop.
      lookup: (host, _options, done) => done(null, host, family),
    });
    // Listened for before binding: with a lookup that answers at once, so does bind.
    const listening = once(socket, 'listening');
    socket.bind({ address: bind.host, port: bind.port, exclusive: true });
    await listening;
    const bytes = bind.bufferBytes ?? 4 * 1024 * 1024;
    socket.setRecvBufferSize(bytes);
    socket.setSendBufferSize(bytes);
    return new DgramIo(socket, bytes);
  }

  private constructor(socket: Socket, asked: number) {
    this.socket = socket;
    this.buffers = { asked, receive: socket.getRecvBufferSize(), send: socket.getSendBufferSize() };
    const { address, port } = socket.address();
    this.local = { address, port };
    socket.on('message', (data, from) => this.collect(data, from));
    socket.on('error', () => this.counters.sendErrors++);
  }

  sendBatch(batch: OutgoingDatagram[]): void {
    if (this.closed) return;
    let isFull = false;
    for (let i = 0; i < batch.length; i++) {
      // Without a callback for each datagram, which would cost a turn of the microtask queue: a failure is a loss, which the peer counts.
      if (i % LOOK_EVERY === 0) isFull = this.socket.getSendQueueCount() >= MAX_UNSENT;
      const { data, to } = batch[i]!;
      if (isFull) this.counters.sendDrops++;
      else this.socket.send(data, to.port, to.address);
    }
  }

  async resolve(host: string): Promise<string> {
    if (isIP(host)) return host;
    const { address } = await lookup(host, this.local.address.includes(':') ? {} : { family: 4 });
    return address;
  }

  async maxDatagramTo({ address }: PeerAddress): Promise<number> {
    return (await interfaceMtu(address)) - headerBytes(address);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    const closing = once(this.socket, 'close');
    this.socket.close();
    await closing;
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
