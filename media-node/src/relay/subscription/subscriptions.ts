import type { PublicJwk } from '@millrace/api';
import type { Hop, TrunkControlMessage, Subscribe, TrackDescription } from '@millrace/api/trunk';
import { Claims } from './claims.ts';
import type { Conversations, ServedDownstream, SubscriptionEffects } from './effects.ts';
import { StreamSubscription } from './stream-subscription.ts';
import type { SubscriptionContext } from './upstream-links.ts';
import type { LocalWant } from './wants.ts';

/** Lower conversation numbers are reserved for the trunk. */
const MIN_CONVERSATION = 16;
const MAX_STREAMS = 20_000;
/** Most ended subscriptions of one peer that it has not been notified of. */
const MAX_UNNOTIFIED = 4096;
const MAX_UNNOTIFIED_PEERS = 1500;

export interface SubscriptionsOptions {
  self: string;
  /** The node has the relay role: it forwards what others publish. */
  relays: boolean;
  effects: SubscriptionEffects;
  /** 0 ≤ n < 1 */
  random: () => number;
}

/**
 * All streams of one node: the state machine of the subscription layer. Pure: messages and time come in, effects go out.
 * Trunks are authenticated below; a peer is known by its node name.
 */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #streams = new Map<string, StreamSubscription>();
  /** Subscriptions of this node, by their number. */
  readonly #upstreamIds = new Map<number, string>();
  /** Subscriptions of others, by peer and their number. */
  readonly #downstreamIds = new Map<string, string>();
  /** Ended subscriptions by peer of which the peer has not been notified: sent when its trunk is up again. */
  readonly #unnotified = new Map<string, number[]>();
  readonly #context: SubscriptionContext;
  readonly #claims = new Claims();
  #peers: ReadonlyMap<string, Hop> = new Map();
  #nextId: number;
  #nextConversation = MIN_CONVERSATION;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    // A random start, so that a restarted node does not reuse the numbers of its previous run.
    this.#nextId = Math.floor(options.random() * 0x7fff_ffff);
    this.#context = {
      self: options.self,
      relays: options.relays,
      effects: { ...options.effects, stopServing: (stream, downstream) => this.#stopServing(stream, downstream) },
      random: options.random,
      hopTo: (node, grant) => this.#hopTo(node, grant),
      originOf: (grant) => this.#claims.originOf(grant)?.node,
      open: (stream, peer) => this.#open(stream, peer),
      closed: (peer, id, told) => this.#closed(peer, id, told),
    };
  }

  /** Control's keys; undefined: there is no control, and nothing is checked. */
  set authorities(keys: readonly PublicJwk[] | undefined) {
    this.#claims.use(keys);
  }

  /** The nodes of this node's settings. No other node is dialled but origins of granted names. */
  set peers(peers: readonly Hop[]) {
    this.#peers = new Map(peers.map((peer) => [peer.node, peer]));
  }

  /** Whether this node has the relay role. */
  set relays(relays: boolean) {
    this.#context.relays = relays;
  }

  publish(stream: string, epoch: number, tracks: TrackDescription[], nowMs: number, grant?: string): void {
    this.#streamOf(stream).publish(epoch, tracks, nowMs, grant);
  }

  unpublish(stream: string, epoch: number, reason: string, nowMs: number): void {
    this.#streams.get(stream)?.unpublish(epoch, reason, nowMs);
    this.#forgetOver(nowMs);
  }

  /** A local pull requests the stream, or changes its routes or layers. */
  want(stream: string, id: string, want: LocalWant, nowMs: number): void {
    this.#streamOf(stream).want(id, want, nowMs);
  }

  release(stream: string, id: string, nowMs: number): void {
    this.#streams.get(stream)?.release(id, nowMs);
  }

  keyframe(stream: string, track: number, layer: number, nowMs: number): void {
    this.#streams.get(stream)?.keyframe(track, layer, nowMs);
  }

  keyframeSeen(stream: string, track: number, layer: number): void {
    this.#streams.get(stream)?.keyframeSeen(track, layer);
  }

  onMessage(peer: string, message: TrunkControlMessage, nowMs: number): void {
    const fault = this.#claims.faultOf(message, {
      stream: (id) => this.#upstreamIds.get(id),
      isOrigin: (stream) => this.#streams.get(stream)?.role === 'origin',
    });
    if (fault !== undefined) return this.#refuseClaim(peer, message, fault, nowMs);
    switch (message.type) {
      case 'subscribe':
        return this.#onSubscribe(peer, message, nowMs);
      case 'unsubscribe':
        this.#downstream(peer, message.id)?.onUnsubscribe(peer, message.id, nowMs);
        return;
      case 'keyframe':
        return this.#downstream(peer, message.id)?.keyframe(message.track, message.layer, nowMs);
      default:
        return this.#onUpstream(peer, message, nowMs);
    }
  }

  onMedia(stream: string, peer: string, id: number, nowMs: number): void {
    this.#streams.get(stream)?.onMedia(peer, id, nowMs);
  }

  trunkUp(peer: string, nowMs: number): void {
    for (const id of this.#unnotified.get(peer) ?? []) this.#options.effects.sendDownstream(peer, { type: 'unsubscribe', id });
    this.#unnotified.delete(peer);
    for (const stream of this.#streams.values()) stream.trunkUp(peer, nowMs);
  }

  trunkLost(peer: string, nowMs: number): void {
    for (const stream of this.#streams.values()) stream.trunkLost(peer, nowMs);
  }

  /** Handles due timers; returns when to call again, ms. */
  tick(nowMs: number): number {
    let dueMs = Infinity;
    for (const stream of this.#streams.values()) dueMs = Math.min(dueMs, stream.tick(nowMs));
    this.#forgetOver(nowMs);
    return dueMs;
  }

  stream(name: string): StreamSubscription | undefined {
    return this.#streams.get(name);
  }

  /** Subscriptions of other nodes. */
  get downstreams(): number {
    return this.#downstreamIds.size;
  }

  streams(): IterableIterator<StreamSubscription> {
    return this.#streams.values();
  }

  /** The sender names an epoch that control has not given out, or not to that origin. */
  #refuseClaim(peer: string, message: TrunkControlMessage, reason: string, nowMs: number): void {
    const refused = { type: 'refused', id: message.id, code: 'unauthorised', reason } as const;
    if (message.type === 'subscribe') return this.#options.effects.sendDownstream(peer, refused);
    // Changed tracks are passed over, and what is known stays. An upstream that begins with a wrong epoch is none.
    if (message.type !== 'subscribed') return;
    this.#options.effects.sendDownstream(peer, { type: 'unsubscribe', id: message.id });
    this.#onUpstream(peer, refused, nowMs);
  }

  #onSubscribe(peer: string, message: Subscribe, nowMs: number): void {
    if (!this.#streams.has(message.stream) && this.#streams.size >= MAX_STREAMS) {
      const reason = `${this.#options.self} carries ${MAX_STREAMS} streams`;
      return this.#options.effects.sendDownstream(peer, { type: 'refused', id: message.id, code: 'overloaded', reason });
    }
    const stream = this.#streamOf(message.stream);
    this.#downstreamIds.set(`${peer}#${message.id}`, message.stream);
    stream.onSubscribe(peer, message, nowMs);
    if (!stream.serves(peer, message.id)) this.#downstreamIds.delete(`${peer}#${message.id}`);
  }

  #onUpstream(peer: string, message: TrunkControlMessage, nowMs: number): void {
    const name = this.#upstreamIds.get(message.id);
    const stream = name === undefined ? undefined : this.#streams.get(name);
    if (stream) return stream.onUpstream(peer, message, nowMs);
    // The answer crossed an UNSUBSCRIBE.
    if (message.type === 'subscribed') this.#options.effects.sendDownstream(peer, { type: 'unsubscribe', id: message.id });
  }

  #stopServing(stream: string, downstream: ServedDownstream): void {
    this.#downstreamIds.delete(`${downstream.peer}#${downstream.id}`);
    this.#options.effects.stopServing(stream, downstream);
  }

  #downstream(peer: string, id: number): StreamSubscription | undefined {
    const name = this.#downstreamIds.get(`${peer}#${id}`);
    return name === undefined ? undefined : this.#streams.get(name);
  }

  #streamOf(name: string): StreamSubscription {
    let stream = this.#streams.get(name);
    if (!stream) {
      stream = new StreamSubscription(name, this.#context);
      this.#streams.set(name, stream);
    }
    return stream;
  }

  #open(stream: string, peer: string): { id: number; conversations: Conversations } {
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) >>> 0;
    this.#upstreamIds.set(id, stream);
    // Both ends of a trunk number conversations: the one with the smaller name takes the even ones.
    const side = this.#options.self < peer ? 0 : 1;
    const first = this.#nextConversation;
    this.#nextConversation = first + 4 > 0xffff_fff0 ? MIN_CONVERSATION : first + 4;
    return { id, conversations: { audio: first + side, video: first + 2 + side } };
  }

  #hopTo(node: string, grant: string | undefined): Hop | undefined {
    const known = this.#peers.get(node);
    if (known) return known;
    const origin = this.#claims.originOf(grant);
    return origin?.node === node ? origin : undefined;
  }

  #closed(peer: string, id: number, told: boolean): void {
    this.#upstreamIds.delete(id);
    if (told) return;
    const unnotified = this.#unnotified.get(peer) ?? [];
    if (unnotified.length === 0 && this.#unnotified.size >= MAX_UNNOTIFIED_PEERS) return;
    if (unnotified.length < MAX_UNNOTIFIED) this.#unnotified.set(peer, [...unnotified, id]);
  }

  #forgetOver(nowMs: number): void {
    for (const [name, stream] of this.#streams) {
      if (!stream.isOver(nowMs)) continue;
      stream.tick(nowMs);
      this.#streams.delete(name);
      this.#options.effects.forget(name);
    }
  }
}
