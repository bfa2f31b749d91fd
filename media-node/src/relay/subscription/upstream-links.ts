import type { Hop, StreamDescription, Subscribe, TrunkControlMessage } from '@millrace/api/trunk';
import type { Conversations, MeasuredPath, SubscriptionEffects } from './effects.ts';
import { masksOf, sameMasks, wantedLayers } from './layer-masks.ts';
import { routeKey, type Route } from './routes.ts';
import { olderThanHeld, type Downstream, type Wants } from './wants.ts';

/** An upstream that does not answer within this time has failed. */
export const REQUEST_TIMEOUT_MS = 1000;

/** One subscription of this node at its next hop upstream. */
export interface UpstreamLink {
  readonly id: number;
  readonly conversations: Conversations;
  route: Route;
  /** requested: no answer yet; standing: SUBSCRIBED; lost: the upstream has lost its own and keeps trying. */
  state: 'requested' | 'standing' | 'lost';
  readonly requestedAtMs: number;
  /** Media has arrived on it. */
  flowing: boolean;
  /** Nodes upstream as reported by the next hop, itself first. */
  nodes: string[];
  /** RTT and loss of the path beyond the next hop. */
  rttMs: number;
  lossPercent: number;
  /** The last request sent; a change is sent as an update. */
  request: Subscribe;
}

export function nextHop(link: UpstreamLink): string {
  return link.route.hops[0]!;
}

/** What the streams of a node share. */
export interface SubscriptionContext {
  readonly self: string;
  /** The node has the relay role. */
  relays: boolean;
  readonly effects: SubscriptionEffects;
  /** The node as trunks dial it, out of this node's settings or, for an origin, out of the grant; undefined when it is in neither. */
  readonly hopTo: (node: string, grant: string | undefined) => Hop | undefined;
  /** The origin that control granted the name to; undefined without control. */
  readonly originOf: (grant: string | undefined) => string | undefined;
  /** 0 ≤ n < 1 */
  readonly random: () => number;
  /** Allocates a new subscription at this peer. */
  open(stream: string, peer: string): { id: number; conversations: Conversations };
  /** The subscription has ended; `told`: the peer knows, or need not. */
  closed(peer: string, id: number, told: boolean): void;
}

/** The subscriptions that bring one stream here: the one in use, and the one to be used next. */
export class UpstreamLinks {
  /** The link that delivers the stream. */
  active: UpstreamLink | undefined;
  /** The link that is being set up: becomes active once it delivers, or at once when there is no active one. */
  next: UpstreamLink | undefined;
  readonly #stream: string;
  readonly #context: SubscriptionContext;
  readonly #wants: Wants;
  readonly #known: () => StreamDescription | undefined;

  /** @param known what is known of the stream here */
  constructor(stream: string, context: SubscriptionContext, wants: Wants, known: () => StreamDescription | undefined) {
    this.#known = known;
    this.#stream = stream;
    this.#context = context;
    this.#wants = wants;
  }

  /** Subscribes along this route, from the positions held here. */
  request(route: Route, nowMs: number): void {
    if (this.next) this.drop(this.next, true);
    const peer = route.hops[0]!;
    const { effects } = this.#context;
    const { id, conversations } = this.#context.open(this.#stream, peer);
    const request = this.#requestFor(route, id, conversations);
    request.held = this.#wants.positions(effects.held(this.#stream));
    const unknown = { nodes: [], rttMs: 0, lossPercent: 0 };
    this.next = { id, conversations, route, state: 'requested', requestedAtMs: nowMs, flowing: false, ...unknown, request };
    this.send(this.next, request);
    effects.bind(this.#stream, peer, id, conversations);
  }

  /** Sends the upstreams changed layers, routes and backups. */
  update(): void {
    for (const link of [this.active, this.next]) {
      if (!link) continue;
      const request = this.#requestFor(link.route, link.id, link.conversations);
      if (sameRequest(request, link.request)) continue;
      link.request = request;
      this.send(link, request);
    }
  }

  /** Asks the upstream for older packets, for a downstream that holds less than this node. */
  fetchOlder(downstream: Downstream): void {
    if (!this.active || downstream.held.length === 0) return;
    const older = olderThanHeld(downstream.held, this.#context.effects.held(this.#stream));
    if (older.length > 0) this.send(this.active, { ...this.active.request, held: older });
  }

  /** Makes the next link the active one. */
  promote(): void {
    const old = this.active;
    this.active = this.next;
    this.next = undefined;
    if (old) this.drop(old, true);
  }

  /** `tell`: notify the peer; false when the peer ended the subscription or cannot be reached. */
  drop(link: UpstreamLink, tell: boolean): void {
    const { effects } = this.#context;
    if (link === this.active) this.active = undefined;
    if (link === this.next) this.next = undefined;
    effects.unbind(this.#stream, nextHop(link), link.id, link.conversations);
    if (tell) this.send(link, { type: 'unsubscribe', id: link.id });
    this.#context.closed(nextHop(link), link.id, tell);
  }

  dropAll(): void {
    for (const link of [this.active, this.next]) if (link) this.drop(link, true);
  }

  find(peer: string, id: number): UpstreamLink | undefined {
    return [this.active, this.next].find((link) => link?.id === id && nextHop(link) === peer);
  }

  over(peer: string): UpstreamLink[] {
    return [this.active, this.next].filter((link) => link !== undefined && nextHop(link) === peer) as UpstreamLink[];
  }

  measuredPath(): MeasuredPath {
    const link = this.active;
    if (!link) return { nodes: [], rttMs: 0, lossPercent: 0 };
    const trunk = this.#context.effects.trunkQuality(nextHop(link));
    return {
      nodes: link.nodes,
      rttMs: link.rttMs + trunk.rttMs,
      lossPercent: 100 * (1 - (1 - link.lossPercent / 100) * (1 - trunk.lossPercent / 100)),
    };
  }

  /** Dials the next hop where there is no trunk to it yet. */
  send(link: UpstreamLink, message: TrunkControlMessage): void {
    const { effects } = this.#context;
    const node = nextHop(link);
    const hop = this.#context.hopTo(node, link.request.grant);
    if (hop) effects.sendUpstream(hop, message);
    else effects.sendDownstream(node, message);
  }

  #requestFor(route: Route, id: number, conversations: Conversations): Subscribe {
    const { via, backup } = this.#wants.origin(route.owner, this.#context.self);
    const layers = wantedLayers(this.#wants.masks());
    const path = route.hops.slice(1);
    return {
      type: 'subscribe',
      id,
      stream: this.#stream,
      ...this.#wants.newest(this.#known()),
      path,
      backup,
      via,
      layers,
      held: [],
      conversations,
    };
  }
}

function sameRequest(a: Subscribe, b: Subscribe): boolean {
  const sameRoutes = routeKey(a.path) === routeKey(b.path) && routeKey(a.backup) === routeKey(b.backup);
  return sameRoutes && a.epoch === b.epoch && sameMasks(masksOf(a.layers), masksOf(b.layers));
}
