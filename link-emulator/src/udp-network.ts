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
  /** The same seed and the same datagrams at the same times meet the same fate. Default 1. */
  seed?: number;
  /** Links of which nothing was said; default perfect. From whom to whom decides. */
  profile?: (from: string, to: string) => Partial<LinkProfile>;
  /** Where nodes' doors listen, an IP literal; default 127.0.0.1. */
  host?: string;
  /** Senders that no node was named for get a door of their own, so that answers find them. Default: they are not let in. */
  strangers?: boolean;
}

/** Both directions between two nodes. */
export interface EmulatedLink {
  /** From the first named to the second. */
  there: LinkModel;
  back: LinkModel;
}

export interface EmulatedNode {
  readonly name: string;
  /** Where others reach the node; what the node sends comes from here too. */
  readonly door: UdpAddress;
}

interface Node extends EmulatedNode {
  /** The node's own socket. */
  home: UdpAddress;
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
const MAX_UNDER_WAY = 200_000;
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** Node's timers count whole milliseconds: what is due within half of one goes now rather than later. */
const EARLY_MS = 0.5;

/**
 * Nodes on real UDP sockets, joined by emulated links. Each node has a door: others send there instead of to the node itself, and what the
 * node sends leaves by it, so that to its peers a node is one address whoever speaks first. Who sent a datagram is told by its source
 * address, so any number of pairs, each with its own link, need one socket a node.
 */
export class UdpNetwork {
  /** Datagrams not carried: from nobody known, to a door that closed, or more under way than the memory set aside for it. */
  readonly dropped = { stranger: 0, sendErrors: 0, tooMany: 0 };
  readonly #options: UdpNetworkOptions;
  readonly #nodes = new Map<string, Node>();
  readonly #byHome = new Map<string, Node>();
  readonly #models = new Map<string, LinkModel>();
  readonly #underWay = new Arrivals<Datagram>();
  readonly #lateness = new Lateness();
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Infinity;
  #strangers = 0;
  #closed = false;

  constructor(options: UdpNetworkOptions = {}) {
    this.#options = options;
  }

  /** Opens a node's door. `home` is where the node itself receives and sends from. @throws Error when the name or port is taken */
  async addNode(name: string, home: UdpAddress, door: Partial<UdpAddress> = {}): Promise<EmulatedNode> {
    return this.#open(name, home, door, false);
  }

  node(name: string): EmulatedNode {
    return this.#node(name);
  }

  nodes(): EmulatedNode[] {
    return [...this.#nodes.values()];
  }

  /** A node that was started anew behind the same door. */
  moveNode(name: string, home: UdpAddress): void {
    const node = this.#node(name);
    this.#byHome.delete(keyOf(node.home));
    node.home = home;
    this.#byHome.set(keyOf(home), node);
  }

  link(a: string, b: string): EmulatedLink {
    return { there: this.#model(this.#node(a), this.#node(b)), back: this.#model(this.#node(b), this.#node(a)) };
  }

  /** Changes the direction from one node to another while it runs. @throws RangeError naming the field that cannot be */
  change(from: string, to: string, profile: Partial<LinkProfile>): void {
    this.link(from, to).there.change(profile, performance.now());
  }

  changeBoth(a: string, b: string, profile: Partial<LinkProfile>): void {
    this.change(a, b, profile);
    this.change(b, a, profile);
  }

  /** The emulator's own error since the last call: how far from their due time datagrams left. */
  takeLateness(): LatenessSummary {
    return this.#lateness.take();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all([...this.#nodes.values()].map(({ socket }) => closeSocket(socket)));
  }

  async #open(name: string, home: UdpAddress, door: Partial<UdpAddress>, isStranger: boolean): Promise<Node> {
    if (this.#nodes.has(name)) throw new Error(`node ${name} is there already`);
    const socket = await openSocket(door.address ?? this.#options.host ?? '127.0.0.1', door.port ?? 0);
    if (this.#closed) {
      await closeSocket(socket);
      throw new Error('the network is closed');
    }
    const { address, port } = socket.address();
    const node: Node = { name, home, door: { address, port }, socket, isStranger, heardMs: performance.now() };
    this.#nodes.set(name, node);
    this.#byHome.set(keyOf(home), node);
    socket.on('message', (data, from) => this.#receive(data, { address: from.address, port: from.port }, node));
    socket.on('error', () => this.dropped.sendErrors++);
    return node;
  }

  #node(name: string): Node {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`no node ${name}; there are ${[...this.#nodes.keys()].join(', ')}`);
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
    const from = this.#byHome.get(keyOf(source));
    if (from) this.#carry(data, from, to);
    else if (this.#options.strangers === true && !to.isStranger) this.#admit(data, source, to);
    else this.dropped.stranger++;
  }

  /** Its first datagrams are lost until its door is open, as they may be on any network. */
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
    this.#byHome.delete(keyOf(idle.home));
    for (const key of this.#models.keys()) if (key.split('\n').includes(idle.name)) this.#models.delete(key);
    void closeSocket(idle.socket);
    this.#strangers--;
    return true;
  }

  #carry(data: Buffer, from: Node, to: Node): void {
    const nowMs = performance.now();
    from.heardMs = nowMs;
    if (this.#underWay.size >= MAX_UNDER_WAY) {
      this.dropped.tooMany++;
      return;
    }
    for (const { atMs, wrongBit } of this.#model(from, to).offer(data.length, nowMs)) {
      this.#underWay.add(atMs, { data: wrongBit === undefined ? data : withWrongBit(data, wrongBit), from, to });
    }
    this.#deliver(nowMs);
  }

  #deliver(nowMs: number): void {
    for (let next = this.#underWay.take(nowMs + EARLY_MS); next; next = this.#underWay.take(nowMs + EARLY_MS)) {
      const { data, from, to } = next.what;
      this.#lateness.add(nowMs - next.atMs);
      if (this.#nodes.get(from.name) !== from) continue;
      from.socket.send(data, 0, data.length, to.home.port, to.home.address, this.#sent);
    }
    this.#arm(nowMs);
  }

  readonly #sent = (error: Error | null): void => {
    if (error) this.dropped.sendErrors++;
  };

  #arm(nowMs: number): void {
    const dueMs = this.#underWay.nextMs;
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
    // Homes are literals; Node's own lookup would cost each datagram a turn of the event loop.
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

function withWrongBit(data: Buffer, bit: number): Buffer {
  const copy = Buffer.from(data);
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

function keyOf({ address, port }: UdpAddress): string {
  return `${address} ${port}`;
}

/** FNV-1a: links of one network differ in their randomness, whatever the order in which they are made. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
