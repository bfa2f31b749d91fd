import type { LinkReport } from '@millrace/api';
import {
  mediaFrameFault,
  type TrunkControlMessage,
  type Hop,
  type StreamDescription,
  type TrackDescription,
} from '@millrace/api/trunk';
import type { Clock } from '@millrace/service';
import { CoalescedTimer } from './timer.ts';
import { AUDIO, CarriedStream, VIDEO } from './carried-stream/index.ts';
import type {
  EgressRequest,
  EgressRoute,
  EgressStats,
  IngestRequest,
  RelayEvent,
  RelaySettings,
  RelayStats,
} from './commands.ts';
import { DownstreamFeed } from './downstream-feed.ts';
import { Egress, type Attachment } from './egress/index.ts';
import { Ingest, MAX_RTP_BYTES, type LayerSource } from './ingest.ts';
import type { IngestCounters } from './ingest-counters.ts';
import type { RtpSocket, RtpSockets, SocketAddress } from './rtp-sockets.ts';
import {
  allLayers,
  Subscriptions,
  type Conversations,
  type LocalWant,
  type ServedDownstream,
  type SubscriptionEffects,
} from './subscription/index.ts';
import { TrunkDirectory, type Binding } from './trunk-directory.ts';
import type { RelayTrunks } from './trunks.ts';

/** Resolution of the timers of gates, cursors and replays. */
const TIMER_RESOLUTION_MS = 5;
/** Resolution of the timers of subscriptions, which are longer and more numerous. */
const SUBSCRIPTION_TIMER_RESOLUTION_MS = 20;
const TIDY_MS = 10_000;

export interface RelayNodeOptions {
  /** Name of this node. */
  node: string;
  trunks: RelayTrunks;
  sockets: RtpSockets;
  clock: Clock;
  random: () => number;
  emit: (event: RelayEvent) => void;
}

interface RunningIngest {
  readonly stream: string;
  readonly epoch: number;
  grant: string | undefined;
  readonly ingest: Ingest;
  readonly socket: RtpSocket;
  tracks: TrackDescription[];
}

interface RunningEgress {
  readonly stream: string;
  readonly egress: Egress;
  want: LocalWant;
}

/** The relay of one node: connects sockets, gates, carried streams, subscriptions and trunks. Runs on one thread. */
export class RelayNode {
  readonly #options: RelayNodeOptions;
  readonly #directory: TrunkDirectory;
  readonly #subscriptions: Subscriptions;
  readonly #carried = new Map<string, CarriedStream>();
  readonly #feeds = new Map<string, DownstreamFeed>();
  readonly #ingests = new Map<string, RunningIngest>();
  readonly #egresses = new Map<string, RunningEgress>();
  readonly #now: () => number;
  #peers: ReadonlyMap<string, Hop> = new Map();
  #probe: string[] = [];
  readonly #timer: CoalescedTimer;
  readonly #wakeBy: (dueMs: number) => void;
  #subscriptionDueMs = Infinity;
  #tidyAtMs: number;
  /** Counters of closed ingests. */
  readonly #closedRefusedRtp: Record<string, number> = {};
  readonly #closedKeyframeRequests: Record<string, number> = {};
  readonly #closedRepairs: Record<string, number> = {};
  #strayFrames = 0;
  #malformedFrames = 0;
  #controlErrors = 0;

  constructor(options: RelayNodeOptions) {
    this.#options = options;
    this.#now = () => options.clock.now();
    this.#timer = new CoalescedTimer(options.clock, TIMER_RESOLUTION_MS, () => this.#tick());
    this.#wakeBy = (dueMs) => this.#timer.armBy(dueMs);
    this.#directory = new TrunkDirectory(options.trunks, {
      onMessage: (peer, message) => this.#changed((nowMs) => this.#subscriptions.onMessage(peer, message, nowMs)),
      onMedia: (peer, binding, frame) => this.#onMedia(peer, binding, frame),
      onStray: () => (this.#strayFrames += 1),
      onUp: (peer) => this.#changed((nowMs) => this.#subscriptions.trunkUp(peer, nowMs)),
      onLost: (peer, reason) => this.#onTrunkLost(peer, reason),
      onNarrowPath: (peer, mtuBytes) => this.#narrowPath(peer, mtuBytes),
      onBadMessage: (peer, error) => this.#warn(error.message, { peer }),
    });
    this.#subscriptions = new Subscriptions({
      self: options.node,
      relays: true,
      effects: this.#effects(),
      random: options.random,
    });
    this.#tidyAtMs = this.#now() + TIDY_MS;
    this.#timer.armBy(this.#tidyAtMs);
  }

  configure(settings: RelaySettings): void {
    this.#subscriptions.relays = settings.relays;
    this.#subscriptions.authorities = settings.authorities;
    this.#subscriptions.peers = settings.peers;
    this.#peers = new Map(settings.peers.map((peer) => [peer.node, peer]));
    this.#probe = settings.probe;
    if (settings.mesh?.probeWindowMs !== undefined) this.#directory.windowMs = settings.mesh.probeWindowMs;
    this.#keepTrunks();
  }

  // ---- publishers

  async ingest(request: IngestRequest): Promise<SocketAddress> {
    const { id, stream, epoch, grant, tracks, parameterSets, rttMs, maxKbps } = request;
    const socket = await this.#options.sockets.open(request.localIp ?? '127.0.0.1', request.from);
    const carried = this.#carry(stream);
    const onKeyframeRequest = (track: number, layer: number) =>
      this.#options.emit({ type: 'keyframe', ingest: id, track, layer });
    const [now, wakeBy] = [this.#now, this.#wakeBy];
    const onTooLarge = (bytes: number) => this.#tooLarge(stream, bytes);
    const onLayerOrder = (track: number, order: readonly number[]) => this.#reorder(id, track, order);
    const waking = { now, wakeBy, onKeyframeRequest, onTooLarge, onLayerOrder };
    const ingest = new Ingest({ stream: carried, epoch, tracks, parameterSets, rttMs, maxKbps, ...waking });
    socket.onMessage = (packet) => ingest.onPacket(packet);
    this.#ingests.set(id, { stream, epoch, grant, ingest, socket, tracks });
    this.#changed((nowMs) => this.#subscriptions.publish(stream, epoch, tracks, nowMs, grant));
    return socket.address;
  }

  /** Announces the layers' new order to all subscribers and to the node's main thread. Layers keep their numbers. */
  #reorder(id: string, track: number, order: readonly number[]): void {
    const running = this.#ingest(id);
    running.tracks = running.tracks.map((known) =>
      known.track === track
        ? { ...known, layers: order.flatMap((layer) => known.layers.filter((each) => each.layer === layer)) }
        : known,
    );
    this.#options.emit({ type: 'tracks', ingest: id, tracks: running.tracks });
    this.#publishAgain(running);
  }

  /** Control has signed the grant with another key. */
  setGrant(id: string, grant: string): void {
    const running = this.#ingest(id);
    running.grant = grant;
    this.#publishAgain(running);
  }

  #publishAgain({ stream, epoch, tracks, grant }: RunningIngest): void {
    this.#changed((nowMs) => this.#subscriptions.publish(stream, epoch, tracks, nowMs, grant));
  }

  setSources(id: string, sources: readonly LayerSource[]): void {
    this.#ingest(id).ingest.setSources(sources);
  }

  setRtt(id: string, rttMs: number): void {
    this.#ingest(id).ingest.setRtt(rttMs);
  }

  setLimit(id: string, maxKbps: number | undefined): void {
    this.#ingest(id).ingest.setLimit(maxKbps);
  }

  ingestStats(id: string): IngestCounters {
    return this.#ingest(id).ingest.counters;
  }

  closeIngest(id: string, reason: string): void {
    const running = this.#ingests.get(id);
    if (!running) return;
    this.#ingests.delete(id);
    addRefused(running.ingest.counters, this.#closedRefusedRtp);
    add(running.ingest.counters.keyframeRequests, this.#closedKeyframeRequests);
    add(repairsOf(running.ingest.counters), this.#closedRepairs);
    running.socket.close();
    this.#changed((nowMs) => this.#subscriptions.unpublish(running.stream, running.epoch, reason, nowMs));
  }

  // ---- pulls

  egress(request: EgressRequest): void {
    const { id, stream, path, backup = [], lingerMs, epoch, grant } = request;
    const carried = this.#carry(stream);
    const onKeyframeRequest = (track: number, layer: number) =>
      this.#changed((nowMs) => this.#subscriptions.keyframe(stream, track, layer, nowMs));
    const [{ sockets }, now, wakeBy] = [this.#options, this.#now, this.#wakeBy];
    const egress = new Egress({ stream: carried, sockets, now, wakeBy, onKeyframeRequest });
    const want: LocalWant = { path, backup, masks: allLayers(), lingerMs, epoch, grant };
    this.#egresses.set(id, { stream, egress, want });
    carried.addSink(egress);
    const known = this.#subscriptions.stream(stream)?.description;
    if (known) this.#describeTo(id, egress, known);
    this.#changed((nowMs) => this.#subscriptions.want(stream, id, want, nowMs));
    this.#keepTrunks();
  }

  attach(id: string, track: number, attachment: Attachment): Promise<SocketAddress> {
    return this.#egress(id).egress.attach(track, attachment);
  }

  detach(id: string, track: number, to: SocketAddress, ssrc: number): void {
    this.#egress(id).egress.detach(track, to, ssrc);
  }

  /** Sets the requested layers of a track, bit n for layer n. Layers that nobody requests do not travel over the trunk. */
  setLayers(id: string, track: number, mask: number): void {
    const running = this.#egress(id);
    const before = running.want.masks[track] ?? 0;
    const masks = running.want.masks.slice();
    masks[track] = mask;
    running.want = { ...running.want, masks };
    for (let layer = 0; layer < 8; layer++) if ((mask & ~before & (1 << layer)) !== 0) running.egress.restartLayer(track, layer);
    this.#changed((nowMs) => this.#subscriptions.want(running.stream, id, running.want, nowMs));
  }

  requestKeyframe(id: string, track: number, layer: number): void {
    const { stream } = this.#egress(id);
    this.#changed((nowMs) => this.#subscriptions.keyframe(stream, track, layer, nowMs));
  }

  /** Make before break: the old path stays in use until the new one delivers. */
  reroute(id: string, route: EgressRoute): void {
    const running = this.#egress(id);
    running.want = { ...running.want, ...route };
    this.#changed((nowMs) => this.#subscriptions.want(running.stream, id, running.want, nowMs));
    this.#keepTrunks();
  }

  egressStats(id: string): EgressStats {
    const { egress, stream } = this.#egress(id);
    const subscription = this.#subscriptions.stream(stream);
    const path = subscription?.measuredPath ?? { nodes: [], rttMs: 0, lossPercent: 0 };
    return { ...path, ...egress.counters, lost: egress.lost, epoch: this.#carried.get(stream)?.epoch ?? -1 };
  }

  closeEgress(id: string): void {
    const running = this.#egresses.get(id);
    if (!running) return;
    this.#egresses.delete(id);
    running.egress.close();
    this.#carried.get(running.stream)?.removeSink(running.egress);
    this.#changed((nowMs) => this.#subscriptions.release(running.stream, id, nowMs));
    this.#keepTrunks();
  }

  // ---- reports

  links(): LinkReport[] {
    return this.#directory.reports(this.#now());
  }

  stats(): Omit<RelayStats, 'refusedDatagrams'> {
    const refusedRtp = { ...this.#closedRefusedRtp };
    const keyframeRequests = { ...this.#closedKeyframeRequests };
    const repairs = { ...this.#closedRepairs };
    for (const { ingest } of this.#ingests.values()) {
      addRefused(ingest.counters, refusedRtp);
      add(ingest.counters.keyframeRequests, keyframeRequests);
      add(repairsOf(ingest.counters), repairs);
    }
    const streams = [...this.#subscriptions.streams()].map((subscription) => {
      const carried = this.#carried.get(subscription.name);
      const counters = carried?.counters ?? { packets: 0, bytes: 0, duplicates: 0, stale: 0 };
      return {
        stream: subscription.name,
        epoch: carried?.epoch ?? -1,
        role: subscription.role,
        ...subscription.measuredPath,
        ...counters,
      };
    });
    return {
      streams,
      subscribers: this.#subscriptions.downstreams,
      strayFrames: this.#strayFrames,
      malformedFrames: this.#malformedFrames,
      droppedMedia: this.#directory.droppedMedia(),
      controlErrors: this.#controlErrors,
      ingests: [...this.#ingests].map(([id, { ingest }]) => {
        const { bytes, aboveLimit } = ingest.counters;
        return { id, bytes, aboveLimit, tracks: ingest.tracks };
      }),
      keyframeRequests,
      repairs,
      refusedRtp,
    };
  }

  close(): void {
    this.#timer.stop();
    for (const id of [...this.#egresses.keys()]) this.closeEgress(id);
    for (const id of [...this.#ingests.keys()]) this.closeIngest(id, 'the node stops');
  }

  // ---- internals

  /** Keeps the trunks to probe targets and to the first hop of each backup up, so that fast reroute needs no handshake. */
  #keepTrunks(): void {
    const backups = [...this.#egresses.values()].flatMap(({ want }) => want.backup.slice(0, 1));
    this.#directory.keep([...this.#probe, ...backups].flatMap((node) => this.#peers.get(node) ?? []));
  }

  #onMedia(peer: string, binding: Binding, frame: Buffer): void {
    if (mediaFrameFault(frame) !== undefined) {
      this.#malformedFrames += 1;
      return;
    }
    binding.stream.push(frame, binding.mediaClass, this.#now());
    if (binding.flowing) return;
    binding.flowing = true;
    this.#changed((nowMs) => this.#subscriptions.onMedia(binding.stream.name, peer, binding.subscription, nowMs));
  }

  /** Warns once for each publisher; further packets are only counted. */
  #tooLarge(stream: string, bytes: number): void {
    const message = `${stream}: an RTP packet of ${bytes} bytes is not forwarded, nor are others above ${MAX_RTP_BYTES}: lower the publisher's packet size (pkt_size of FFmpeg, mtu of GStreamer's payloaders)`;
    this.#options.emit({ type: 'warning', message, fields: { stream, bytes } });
  }

  #narrowPath(peer: string, mtuBytes: number): void {
    const message = `the path to ${peer} carries IP packets of ${mtuBytes} bytes and no larger ones: most video packets take two datagrams there; look for a tunnel or a firewall on the way`;
    this.#options.emit({ type: 'warning', message, fields: { peer, mtuBytes } });
  }

  #onTrunkLost(peer: string, reason: string): void {
    this.#warn(`trunk to ${peer} lost: ${reason}`, { peer });
    this.#changed((nowMs) => this.#subscriptions.trunkLost(peer, nowMs));
  }

  #effects(): SubscriptionEffects {
    return {
      sendUpstream: (hop, message) => this.#guarded(() => this.#directory.sendTo(hop, message)),
      sendDownstream: (peer, message) => this.#guarded(() => this.#sendDownstream(peer, message)),
      bind: (stream, peer, id, conversations) => this.#bind(this.#carry(stream), peer, id, conversations),
      unbind: (_stream, peer, _id, conversations) => {
        this.#directory.unbind(peer, conversations.audio);
        this.#directory.unbind(peer, conversations.video);
        this.#directory.use(peer, -1);
      },
      serve: (stream, downstream, masks, held) => {
        this.#serve(stream, downstream).setWanted(masks, held);
        // The next tick continues a replay that did not fit the window.
        this.#timer.armBy(this.#now());
      },
      stopServing: (stream, downstream) => this.#stopServing(stream, downstream),
      describe: (description) => this.#describe(description),
      status: (stream, status, reason) => {
        for (const id of this.#egressesOf(stream)) this.#options.emit({ type: status, egress: id, reason });
      },
      path: (stream, path) => {
        for (const id of this.#egressesOf(stream)) this.#options.emit({ type: 'path', egress: id, path });
      },
      requestKeyframe: (stream, track, layer) => {
        for (const { stream: published, ingest } of this.#ingests.values()) {
          if (published === stream) ingest.requestKeyframe(track, layer);
        }
      },
      forget: (stream) => {
        this.#carried.delete(stream);
      },
      held: (stream) => this.#carried.get(stream)?.held() ?? [],
      trunkQuality: (peer) => this.#directory.quality(peer),
    };
  }

  #bind(stream: CarriedStream, peer: string, id: number, conversations: Conversations): void {
    this.#directory.bind(peer, conversations.audio, { stream, subscription: id, mediaClass: AUDIO, flowing: false });
    this.#directory.bind(peer, conversations.video, { stream, subscription: id, mediaClass: VIDEO, flowing: false });
    this.#directory.use(peer, 1);
  }

  #serve(stream: string, downstream: ServedDownstream): DownstreamFeed {
    const key = feedKey(stream, downstream);
    let feed = this.#feeds.get(key);
    if (!feed) {
      const carried = this.#carry(stream);
      const requestKeyframe = (track: number, layer: number) => this.#subscriptions.keyframe(stream, track, layer, this.#now());
      feed = new DownstreamFeed(this.#directory.trunk(downstream.peer)!, carried, downstream.conversations, requestKeyframe);
      this.#feeds.set(key, feed);
      carried.addSink(feed);
      this.#directory.use(downstream.peer, 1);
    }
    return feed;
  }

  #stopServing(stream: string, downstream: ServedDownstream): void {
    const key = feedKey(stream, downstream);
    const feed = this.#feeds.get(key);
    if (!feed) return;
    this.#feeds.delete(key);
    this.#carried.get(stream)?.removeSink(feed);
    this.#directory.unbind(downstream.peer, downstream.conversations.audio);
    this.#directory.unbind(downstream.peer, downstream.conversations.video);
    this.#directory.use(downstream.peer, -1);
  }

  #describe(description: StreamDescription): void {
    for (const id of this.#egressesOf(description.stream)) this.#describeTo(id, this.#egresses.get(id)!.egress, description);
    this.#carried.get(description.stream)?.advanceTo(description.epoch);
  }

  #describeTo(id: string, egress: Egress, description: StreamDescription): void {
    egress.describe(description);
    this.#options.emit({ type: 'description', egress: id, description });
  }

  #egressesOf(stream: string): string[] {
    return [...this.#egresses].filter(([, running]) => running.stream === stream).map(([id]) => id);
  }

  #carry(name: string): CarriedStream {
    let carried = this.#carried.get(name);
    if (!carried) {
      carried = new CarriedStream(name, (track, layer) => this.#subscriptions.keyframeSeen(name, track, layer));
      this.#carried.set(name, carried);
    }
    return carried;
  }

  #sendDownstream(peer: string, message: TrunkControlMessage): void {
    if (!this.#directory.send(peer, message)) this.#warn(`no trunk to ${peer} for ${message.type}`, { peer });
  }

  /** A message that cannot be encoded or sent concerns one subscription, and never the others. */
  #guarded(send: () => void): void {
    try {
      send();
    } catch (error) {
      this.#warn((error as Error).message, {});
    }
  }

  #warn(message: string, fields: Record<string, string | number>): void {
    this.#controlErrors += 1;
    this.#options.emit({ type: 'warning', message, fields });
  }

  #ingest(id: string): RunningIngest {
    const running = this.#ingests.get(id);
    if (!running) throw new Error(`ingest ${id} is closed`);
    return running;
  }

  #egress(id: string): RunningEgress {
    const running = this.#egresses.get(id);
    if (!running) throw new Error(`egress ${id} is closed`);
    return running;
  }

  /** Does something to the subscriptions: what they wait for may be due sooner than before. */
  #changed(act: (nowMs: number) => void): void {
    const nowMs = this.#now();
    act(nowMs);
    this.#wakeForSubscriptions(nowMs + SUBSCRIPTION_TIMER_RESOLUTION_MS);
  }

  #wakeForSubscriptions(dueMs: number): void {
    this.#subscriptionDueMs = Math.min(this.#subscriptionDueMs, dueMs);
    this.#timer.armBy(this.#subscriptionDueMs);
  }

  #tick(): void {
    const nowMs = this.#now();
    for (const { ingest } of this.#ingests.values()) this.#timer.armBy(ingest.tick(nowMs));
    for (const { egress } of this.#egresses.values()) this.#timer.armBy(egress.tick(nowMs));
    for (const feed of this.#feeds.values()) if (feed.tick()) this.#timer.armBy(nowMs);
    if (nowMs >= this.#subscriptionDueMs) {
      this.#subscriptionDueMs = Infinity;
      this.#wakeForSubscriptions(Math.max(this.#subscriptions.tick(nowMs), nowMs + SUBSCRIPTION_TIMER_RESOLUTION_MS));
    }
    if (nowMs >= this.#tidyAtMs) {
      this.#tidyAtMs = nowMs + TIDY_MS;
      this.#directory.tidy(nowMs);
    }
    this.#timer.armBy(Math.min(this.#subscriptionDueMs, this.#tidyAtMs));
  }
}

function addRefused({ malformed, tooLarge, unknownSsrc, aboveLimit, dropped }: IngestCounters, to: Record<string, number>): void {
  add({ malformed, 'too-large': tooLarge, 'unknown-ssrc': unknownSsrc, 'above-limit': aboveLimit, ...dropped }, to);
}

function repairsOf({ insertedSets, clockJumps }: IngestCounters): Record<string, number> {
  return { 'parameter-sets': insertedSets, 'clock-jump': clockJumps };
}

function add(counts: Readonly<Record<string, number>>, to: Record<string, number>): void {
  for (const [name, count] of Object.entries(counts)) to[name] = (to[name] ?? 0) + count;
}

function feedKey(stream: string, downstream: ServedDownstream): string {
  return `${stream} ${downstream.peer}#${downstream.id}`;
}
