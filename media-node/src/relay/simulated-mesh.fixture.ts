import { LinkModel, PERFECT_LINK, type LinkProfile } from '@millrace/link-emulator';
import type { Hop } from '@millrace/api/trunk';
import { seededRandom } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { AUDIO_TRACK, h264Payload, rtpPacket, VIDEO_TRACK } from '@millrace/testkit/rtp';
import {
  DEFAULT_TRUNK_SETTINGS,
  TrunkEndpoint,
  type DatagramIo,
  type OutgoingDatagram,
  type PeerAddress,
  type ReceivedDatagram,
  type TrunkSettings,
} from '../trunk/index.ts';
import type { RelayEvent } from './commands.ts';
import { RelayNode } from './relay-node.ts';
import type { RtpSocket, RtpSockets, SocketAddress } from './rtp-sockets.ts';

/** Ways between nodes, unless a test asks for others. Jitter reorders here: relays have to cope with that. */
const GOOD: Partial<LinkProfile> = { delayMs: 20, keepsOrder: false };

class SimulatedIo implements DatagramIo {
  onBatch: (batch: ReceivedDatagram[]) => void = () => {};
  readonly counters = { sendErrors: 0, sendDrops: 0 };
  readonly local: PeerAddress;
  readonly #send: (datagram: OutgoingDatagram) => void;

  constructor(local: PeerAddress, send: (datagram: OutgoingDatagram) => void) {
    this.local = local;
    this.#send = send;
  }

  sendBatch(batch: OutgoingDatagram[]): void {
    for (const datagram of batch) this.#send(datagram);
  }

  resolve(host: string): Promise<string[]> {
    return Promise.resolve([host]);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Loopback sockets of one node: packets arrive within the call. */
class LoopbackSockets implements RtpSockets {
  readonly #receivers = new Map<number, (packet: Buffer, from: number) => void>();
  #port = 50_000;

  open(localIp: string, remote?: SocketAddress): Promise<RtpSocket> {
    const port = this.#port++;
    const socket: RtpSocket = {
      address: { ip: localIp, port },
      onMessage: () => {},
      queued: 0,
      send: (packet, length) => {
        this.deliver(remote!.port, Buffer.from(packet.subarray(0, length)), port);
        return true;
      },
      close: () => this.#receivers.delete(port),
    };
    this.listen(port, (packet) => socket.onMessage(packet));
    return Promise.resolve(socket);
  }

  listen(port: number, receive: (packet: Buffer, from: number) => void): void {
    this.#receivers.set(port, receive);
  }

  deliver(port: number, packet: Buffer, from = 0): void {
    this.#receivers.get(port)?.(packet, from);
  }
}

export interface SimulatedNode {
  name: string;
  hop: Hop;
  relay: RelayNode;
  endpoint: TrunkEndpoint;
  sockets: LoopbackSockets;
  events: RelayEvent[];
  alive: boolean;
}

export interface Received {
  atMs: number;
  seq: number;
  timestamp: number;
  ssrc: number;
  payloadType: number;
  /** Number that the publisher wrote into the payload. */
  mark: number;
}

/** Relays with their real trunks over a simulated network, in virtual time. */
export class SimulatedMesh {
  readonly clock = new FakeClock();
  readonly nodes = new Map<string, SimulatedNode>();
  readonly #byAddress = new Map<string, { io: SimulatedIo; node: SimulatedNode }>();
  readonly #links = new Map<string, LinkModel>();
  readonly #random: () => number;
  readonly #keys = [{ id: 'k', secret: Buffer.alloc(32, 7).toString('base64') }];
  readonly #settings: TrunkSettings;

  constructor(names: string[], seed = 1, settings: Partial<TrunkSettings> = {}) {
    this.#random = seededRandom(seed);
    this.#settings = { ...DEFAULT_TRUNK_SETTINGS, ...settings };
    names.forEach((name, index) => this.#add(name, `10.0.0.${index + 1}`));
    for (const name of names) this.configure(name);
  }

  node(name: string): SimulatedNode {
    return this.nodes.get(name)!;
  }

  /** Sets the trunks that a node keeps up. It knows the addresses of all nodes. */
  configure(name: string, { relays = true, probe = [] }: { relays?: boolean; probe?: string[] } = {}): void {
    const peers = [...this.nodes.values()].map(({ hop }) => hop).filter(({ node }) => node !== name);
    this.node(name).relay.configure({ relays, peers, probe });
  }

  /** Both directions. What is not named is a good link. */
  setLink(a: string, b: string, profile: Partial<LinkProfile>): void {
    this.setOneDirection(a, b, profile);
    this.setOneDirection(b, a, profile);
  }

  setOneDirection(from: string, to: string, profile: Partial<LinkProfile>): void {
    this.link(from, to).change({ ...PERFECT_LINK, ...GOOD, ...profile }, this.clock.now());
  }

  link(from: string, to: string): LinkModel {
    const key = `${from} ${to}`;
    let link = this.#links.get(key);
    if (!link) {
      link = new LinkModel(GOOD, this.#random);
      this.#links.set(key, link);
    }
    return link;
  }

  /** As by kill -9: nothing comes from the node any more, not even a goodbye. */
  kill(name: string): void {
    this.node(name).alive = false;
  }

  /** Lets virtual time pass. */
  run(ms: number): Promise<void> {
    return this.clock.settle(ms);
  }

  close(): void {
    for (const { relay, endpoint } of this.nodes.values()) {
      relay.close();
      void endpoint.close();
    }
  }

  #add(name: string, address: string): void {
    const io = new SimulatedIo({ address, port: 40_100 }, (datagram) => this.#carry(name, datagram));
    const endpoint = new TrunkEndpoint({
      io,
      self: { node: name },
      keys: this.#keys,
      settings: this.#settings,
      clock: this.clock,
      random: (bytes) => Buffer.from(Array.from({ length: bytes }, () => Math.floor(this.#random() * 256))),
    });
    const sockets = new LoopbackSockets();
    const events: RelayEvent[] = [];
    const emit = (event: RelayEvent) => void events.push(event);
    const relay = new RelayNode({ node: name, trunks: endpoint, sockets, clock: this.clock, random: this.#random, emit });
    const node: SimulatedNode = {
      name,
      hop: { node: name, host: address, port: 40_100 },
      relay,
      endpoint,
      sockets,
      events,
      alive: true,
    };
    this.nodes.set(name, node);
    this.#byAddress.set(address, { io, node });
  }

  #carry(fromName: string, { data, to }: OutgoingDatagram): void {
    const from = this.node(fromName);
    const target = this.#byAddress.get(to.address);
    if (!target || !from.alive) return;
    for (const { atMs } of this.link(fromName, target.node.name).offer(data.length, this.clock.now())) {
      const bytes = Buffer.from(data);
      const arrive = () => {
        if (target.node.alive) target.io.onBatch([{ data: bytes, from: { address: from.hop.host, port: 40_100 } }]);
      };
      this.clock.setTimeout(arrive, atMs - this.clock.now());
    }
  }
}

/** A publisher on a node: video of `burst` times 100 packets/s with a keyframe in each hundred, audio of 50 packets/s. */
export class Publisher {
  readonly id: string;
  readonly #mesh: SimulatedMesh;
  readonly #node: SimulatedNode;
  readonly #stream: string;
  #port = 0;
  #stopped = false;
  video = 0;
  audio = 0;
  keyframeWanted = false;
  /** Bytes of the body of the n-th video packet. */
  bodyBytes: (n: number) => number = () => 20;
  readonly #base: { seq: number; timestamp: number };
  readonly #burst: number;
  #ticks = 0;

  constructor(mesh: SimulatedMesh, node: string, stream: string, base = { seq: 65_500, timestamp: 1_000_000 }, burst = 1) {
    this.#mesh = mesh;
    this.#node = mesh.node(node);
    this.#stream = stream;
    this.#base = base;
    this.#burst = burst;
    this.id = `${stream}#${base.seq}`;
  }

  async start(epoch: number, tracks = [VIDEO_TRACK, AUDIO_TRACK]): Promise<void> {
    const address = await this.#node.relay.ingest({ id: this.id, stream: this.#stream, epoch, tracks, rttMs: 20 });
    this.#port = address.port;
    this.#tick();
  }

  stop(reason = 'publisher left'): void {
    this.#stopped = true;
    this.#node.relay.closeIngest(this.id, reason);
  }

  /** Ends the packets but not the publication. */
  pause(): void {
    this.#stopped = true;
  }

  #tick(): void {
    if (this.#stopped) return;
    for (let i = 0; i < this.#burst; i++) this.#sendVideo();
    if (++this.#ticks % 2 === 0) this.#sendAudio();
    this.#mesh.clock.setTimeout(() => this.#tick(), 10);
  }

  #sendVideo(): void {
    const keyframe = this.video % 100 === 0 || this.keyframeWanted;
    this.keyframeWanted = false;
    const body = h264Payload(keyframe ? 'keyframe' : 'delta', this.bodyBytes(this.video));
    body.writeUInt32BE(this.video, body.length - 4);
    const fields = { payloadType: 102, ssrc: 1000, marker: true, payload: body };
    const seq = this.#base.seq + this.video;
    this.#node.sockets.deliver(this.#port, rtpPacket({ ...fields, seq, timestamp: this.#base.timestamp + this.video * 900 }));
    this.video += 1;
  }

  #sendAudio(): void {
    const payload = Buffer.alloc(20);
    payload.writeUInt32BE(this.audio, 16);
    const fields = { payloadType: 111, ssrc: 2000, payload };
    const seq = this.#base.seq + this.audio;
    this.#node.sockets.deliver(this.#port, rtpPacket({ ...fields, seq, timestamp: this.#base.timestamp + this.audio * 960 }));
    this.audio += 1;
  }
}

let nextEgress = 0;

/** A pull on a node, as a mediasoup plain transport would see it. */
export class Puller {
  readonly #number = nextEgress++;
  readonly id = `egress-${this.#number}`;
  readonly video: Received[] = [];
  readonly audio: Received[] = [];
  readonly #mesh: SimulatedMesh;
  readonly #node: SimulatedNode;
  #egressPort = 0;

  constructor(mesh: SimulatedMesh, node: string) {
    this.#mesh = mesh;
    this.#node = mesh.node(node);
  }

  async start(stream: string, path: string[], backup: string[] = [], lingerMs = 2000): Promise<void> {
    const { relay, sockets } = this.#node;
    const base = 60_000 + this.#number * 10;
    sockets.listen(base, (packet, from) => this.#receive(packet, this.video, from));
    sockets.listen(base + 1, (packet, from) => this.#receive(packet, this.audio, from));
    relay.egress({ id: this.id, stream, path, backup, lingerMs });
    await relay.attach(this.id, 0, { ip: '127.0.0.1', port: base, payloadType: 96, layers: [{ rank: 0, ssrc: 7000 }] });
    await relay.attach(this.id, 1, { ip: '127.0.0.1', port: base + 1, payloadType: 97, layers: [{ rank: 0, ssrc: 8000 }] });
  }

  close(): void {
    this.#node.relay.closeEgress(this.id);
  }

  /** RTCP from mediasoup. */
  sendRtcp(packet: Buffer): void {
    this.#node.sockets.deliver(this.#egressPort, packet);
  }

  events(type: RelayEvent['type']): RelayEvent[] {
    return this.#node.events.filter((event) => event.type === type && 'egress' in event && event.egress === this.id);
  }

  #receive(packet: Buffer, into: Received[], from: number): void {
    if (into === this.video) this.#egressPort = from;
    if ((packet[1]! & 0x7f) >= 72 && (packet[1]! & 0x7f) <= 76) return;
    into.push({
      atMs: this.#mesh.clock.now(),
      seq: packet.readUInt16BE(2),
      timestamp: packet.readUInt32BE(4),
      ssrc: packet.readUInt32BE(8),
      payloadType: packet[1]! & 0x7f,
      mark: packet.readUInt32BE(packet.length - 4),
    });
  }
}
