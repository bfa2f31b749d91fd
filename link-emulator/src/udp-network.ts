import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { seededRandom } from '@millrace/service';
import { Arrivals } from './arrivals.ts';
import { Lateness, type LatenessSummary } from './lateness.ts';
import { LinkModel } from './link-model.ts';
import type { LinkProfile } from './profile.ts';

/** An IP address literal and a UDP port. */
export interface UdpAddress {
  address: string;
  port: number;
}

export interface UdpNetworkOptions {
  /** Equal seeds, with equal datagrams at equal times, give equal deliveries. Default 1. */
  seed?: number;
  /** The initial profile of a link from one node to another; default: a perfect link. */
  profile?: (from: string, to: string) => Partial<LinkProfile>;
  /** The IP address on which the nodes' proxies listen; default 127.0.0.1. */
  host?: string;
  /** Whether an unknown sender gets a proxy of its own, so that answers reach it. Default: its datagrams are dropped. */
  strangers?: boolean;
}

/** Both directions between two nodes. */
export interface EmulatedLink {
  /** The direction from the first node to the second. */
  there: LinkModel;
  back: LinkModel;
}

export interface EmulatedNode {
  readonly name: string;
  /** The address at which other nodes reach this node, and from which they receive its datagrams. */
  readonly proxy: UdpAddress;
}

interface Node extends EmulatedNode {
  /** The address of the node's own socket. */
  nodeAddress: UdpAddress;
  readonly socket: Socket;
  readonly isStranger: boolean;
  heardMs: number;
}

interface Datagram {
  data: Buffer;
  from: Node;
  to: Node;
}

const MAX_STRANGERS = 256;
const STRANGER_IDLE_MS = 60_000;
const MAX_IN_FLIGHT = 200_000;
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** Node.js timers have a resolution of 1 ms: a datagram that is due within half of that is sent now. */
const EARLY_MS = 0.5;

/**
 * Connects nodes on real UDP sockets by emulated links. Each node has a proxy socket: other nodes send to the proxy instead of to the
 * node, and receive the node's datagrams from it, so that a node has one address whichever side sends first. The source address of a
 * datagram identifies its sender, so any number of links need one socket per node.
 */
export class UdpNetwork {
  /** Dropped datagrams: from an unknown sender, with a send error, or because too many are in flight. */
  readonly dropped = { stranger: 0, sendErrors: 0, tooMany: 0 };
  readonly #options: UdpNetworkOptions;
  readonly #nodes = new Map<string, Node>();
  readonly #byNodeAddress = new Map<string, Node>();
  readonly #models = new Map<string, LinkModel>();
  readonly #inFlight = new Arrivals<Datagram>();
  readonly #lateness = new Lateness();
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Infinity;
  #strangers = 0;
  #closed = false;

  constructor(options: UdpNetworkOptions = {}) {
    this.#options = options;
  }

  /** Opens a proxy for the node at `nodeAddress`, its own socket's address. @throws Error when the name or the port is in use */
  async addNode(name: string, nodeAddress: UdpAddress, proxy: Partial<UdpAddress> = {}): Promise<EmulatedNode> {
    return this.#open(name, nodeAddress, proxy, false);
  }

  node(name: string): EmulatedNode {
    return this.#node(name);
  }

  nodes(): EmulatedNode[] {
    return [...this.#nodes.values()];
  }

  /** Changes the address of a node that restarted behind the same proxy. */
  moveNode(name: string, nodeAddress: UdpAddress): void {
    const node = this.#node(name);
    this.#byNodeAddress.delete(keyOf(node.nodeAddress));
    node.nodeAddress = nodeAddress;
    this.#byNodeAddress.set(keyOf(nodeAddress), node);
  }

  link(a: string, b: string): EmulatedLink {
    return { there: this.#model(this.#node(a), this.#node(b)), back: this.#model(this.#node(b), this.#node(a)) };
  }

  /** Changes one direction of a link. @throws RangeError with the name of an invalid field */
  change(from: string, to: string, profile: Partial<LinkProfile>): void {
    this.link(from, to).there.change(profile, performance.now());
  }

  changeBoth(a: string, b: string, profile: Partial<LinkProfile>): void {
    this.change(a, b, profile);
    this.change(b, a, profile);
  }

  /** The emulator's own timing error since the last call: the difference between due and actual sending times. */
  takeLateness(): LatenessSummary {
    return this.#lateness.take();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all([...this.#nodes.values()].map(({ socket }) => closeSocket(socket)));
  }

  async #open(name: string, nodeAddress: UdpAddress, proxy: Partial<UdpAddress>, isStranger: boolean): Promise<Node> {
    if (this.#nodes.has(name)) throw new Error(`node ${name} already exists`);
    const socket = await openSocket(proxy.address ?? this.#options.host ?? '127.0.0.1', proxy.port ?? 0);
    if (this.#closed) {
      await closeSocket(socket);
      throw new Error('the network is closed');
    }
    const { address, port } = socket.address();
    const node: Node = { name, nodeAddress, proxy: { address, port }, socket, isStranger, heardMs: performance.now() };
    this.#nodes.set(name, node);
    this.#byNodeAddress.set(keyOf(nodeAddress), node);
    socket.on('message', (data, from) => this.#receive(data, { address: from.address, port: from.port }, node));
    socket.on('error', () => this.dropped.sendErrors++);
    return node;
  }

  #node(name: string): Node {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`no node ${name}; known nodes: ${[...this.#nodes.keys()].join(', ')}`);
    return node;
  }

  #model(from: Node, to: Node): LinkModel {
    const key = `${from.name}\n${to.name}`;
    let model = this.#models.get(key);
    if (!model) {
      const profile = this.#options.profile?.(from.name, to.name) ?? {};
      model = new LinkModel(profile, seededRandom((this.#options.seed ?? 1) ^ hashOf(key)));
      this.#models.set(key, model);
    }
    return model;
  }

  #receive(data: Buffer, source: UdpAddress, to: Node): void {
    const from = this.#byNodeAddress.get(keyOf(source));
    if (from) this.#carry(data, from, to);
    else if (this.#options.strangers === true && !to.isStranger) this.#admit(data, source, to);
    else this.dropped.stranger++;
  }

  /** Opens a proxy for an unknown sender. Its further datagrams are dropped until the proxy is open. */
  #admit(data: Buffer, source: UdpAddress, to: Node): void {
    const name = keyOf(source);
    if (this.#nodes.has(name) || (this.#strangers >= MAX_STRANGERS && !this.#forgetIdle())) {
      this.dropped.stranger++;
      return;
    }
    this.#strangers++;
    this.#open(name, source, {}, true).then(
      (node) => this.#carry(data, node, to),
      () => this.#strangers--,
    );
  }

  #forgetIdle(): boolean {
    const nowMs = performance.now();
    const idle = [...this.#nodes.values()].find((node) => node.isStranger && nowMs - node.heardMs > STRANGER_IDLE_MS);
    if (!idle) return false;
    this.#nodes.delete(idle.name);
    this.#byNodeAddress.delete(keyOf(idle.nodeAddress));
    for (const key of this.#models.keys()) if (key.split('\n').includes(idle.name)) this.#models.delete(key);
    void closeSocket(idle.socket);
    this.#strangers--;
    return true;
  }

  #carry(data: Buffer, from: Node, to: Node): void {
    const nowMs = performance.now();
    from.heardMs = nowMs;
    if (this.#inFlight.size >= MAX_IN_FLIGHT) {
      this.dropped.tooMany++;
      return;
    }
    for (const { atMs, flippedBit } of this.#model(from, to).offer(data.length, nowMs)) {
      this.#inFlight.add(atMs, { data: flippedBit === undefined ? data : withFlippedBit(data, flippedBit), from, to });
    }
    this.#deliver(nowMs);
  }

  #deliver(nowMs: number): void {
    for (let next = this.#inFlight.take(nowMs + EARLY_MS); next; next = this.#inFlight.take(nowMs + EARLY_MS)) {
      const { data, from, to } = next.what;
      this.#lateness.add(nowMs - next.atMs);
      if (this.#nodes.get(from.name) !== from) continue;
      from.socket.send(data, 0, data.length, to.nodeAddress.port, to.nodeAddress.address, this.#sent);
    }
    this.#arm(nowMs);
  }

  readonly #sent = (error: Error | null): void => {
    if (error) this.dropped.sendErrors++;
  };

  #arm(nowMs: number): void {
    const dueMs = this.#inFlight.nextMs;
    if (dueMs >= this.#timerDueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(this.#onTimer, Math.max(0, Math.floor(dueMs - nowMs)));
  }

  readonly #onTimer = (): void => {
    this.#timerDueMs = Infinity;
    this.#deliver(performance.now());
  };
}

async function openSocket(host: string, port: number): Promise<Socket> {
  const socket = createSocket({
    type: isIP(host) === 6 ? 'udp6' : 'udp4',
    // Addresses are IP literals; the default lookup would delay each datagram by a turn of the event loop.
    lookup: (literal, _options, done) => done(null, literal, isIP(literal)),
  });
  const listening = once(socket, 'listening');
  socket.bind(port, host);
  try {
    await listening;
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
  socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
  return socket;
}

async function closeSocket(socket: Socket): Promise<void> {
  const closed = once(socket, 'close');
  socket.close();
  await closed;
}

function withFlippedBit(data: Buffer, bit: number): Buffer {
  const copy = Buffer.from(data);
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

function keyOf({ address, port }: UdpAddress): string {
  return `${address} ${port}`;
}

/** FNV-1a. Gives each link its own seed, independent of the order in which links are created. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
