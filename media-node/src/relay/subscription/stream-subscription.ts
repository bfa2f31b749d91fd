import type { ControlMessage, StreamDescription, Subscribe, TrackDescription } from '@millrace/api/trunk';
import { refusalOf } from './admission.ts';
import type { Conversations, MeasuredPath, StreamStatus, SubscriptionEffects } from './effects.ts';
import { Failures } from './failures.ts';
import { KeyframeRequests } from './keyframe-requests.ts';
import { masksOf, sameMasks, wantedLayers } from './layer-masks.ts';
import { routeKey, routesFor, type Route } from './routes.ts';
import { nextHop, REQUEST_TIMEOUT_MS, type UpstreamLink } from './upstream-link.ts';
import { downstreamOf, downstreamOwner, localOwner, olderThanHeld, Wants, type Downstream, type LocalWant } from './wants.ts';

/** A relay keeps a stream this long after the last node behind it left: that one may be on its way back. */
export const RELAY_LINGER_MS = 1000;
const PATH_REPORT_MS = 2000;

/** What the streams of a node share. */
export interface SubscriptionContext {
  readonly self: string;
  /** The node has the relay role. */
  relays: boolean;
  readonly effects: SubscriptionEffects;
  readonly random: () => number;
  /** A new subscription at this peer. */
  open(stream: string, peer: string): { id: number; conversations: Conversations };
  /** It is over; `told`: the peer knows, or need not. */
  closed(peer: string, id: number, told: boolean): void;
}

/**
 * One stream at one node: one upstream, whatever is served here and behind. Time comes in with each call; `tick` does what
 * is due.
 */
export class StreamSubscription {
  readonly name: string;
  readonly #context: SubscriptionContext;
  readonly #effects: SubscriptionEffects;
  readonly #wants = new Wants();
  readonly #failures: Failures;
  readonly #keyframes = new KeyframeRequests();
  /** Published here. */
  #origin: StreamDescription | undefined;
  #description: StreamDescription | undefined;
  /** What the stream comes from. */
  #active: UpstreamLink | undefined;
  /** What it is to come from: taken once it delivers, or at once when nothing else does. */
  #next: UpstreamLink | undefined;
  #status: StreamStatus | undefined;
  #lingerMs = RELAY_LINGER_MS;
  #forgetAtMs = Infinity;
  #pathReportAtMs = -Infinity;

  constructor(name: string, context: SubscriptionContext) {
    this.name = name;
    this.#context = context;
    this.#effects = context.effects;
    this.#failures = new Failures(context.random);
  }

  // ---- the publisher on this node

  /** The stream is published here from now on, or its tracks changed. */
  publish(epoch: number, tracks: TrackDescription[], nowMs: number): void {
    this.#origin = { stream: this.name, epoch, tracks };
    this.#dropLinks();
    this.#failures.recovered();
    this.#forgetAtMs = Infinity;
    this.#describe(epoch, tracks);
    this.#flows('published here');
    this.#reportPath(nowMs);
  }

  unpublish(epoch: number, reason: string, nowMs: number): void {
    if (this.#origin?.epoch !== epoch) return;
    this.#origin = undefined;
    this.#end(epoch, reason, nowMs);
  }

  // ---- those who want it

  want(id: string, want: LocalWant, nowMs: number): void {
    const known = this.#wants.locals.get(id);
    this.#wants.locals.delete(id);
    this.#wants.locals.set(id, want);
    this.#lingerMs = want.lingerMs;
    this.#forgetAtMs = Infinity;
    if (this.#status === 'flowing' && !known) this.#reportPath(nowMs);
    this.#follow(localOwner(id), nowMs);
  }

  release(id: string, nowMs: number): void {
    if (!this.#wants.locals.delete(id)) return;
    this.#afterLeaving(nowMs);
  }

  onSubscribe(peer: string, message: Subscribe, nowMs: number): void {
    const refusal = refusalOf(message, peer, {
      self: this.#context.self,
      relays: this.#context.relays,
      originEpoch: this.#origin?.epoch,
      upstream: this.#active?.nodes ?? [],
      carried: this.#active !== undefined,
      downstreams: this.#wants.downstreams.size,
    });
    if (refusal) {
      this.#effects.sendDownstream(peer, { type: 'refused', id: message.id, ...refusal });
      return this.#afterLeaving(nowMs);
    }
    const known = this.#wants.downstreams.get(peer);
    if (known?.id === message.id) return this.#onChange(known, message, nowMs);
    if (known) this.#effects.stopServing(this.name, known);
    const downstream = downstreamOf(peer, message);
    this.#wants.downstreams.set(peer, downstream);
    this.#forgetAtMs = Infinity;
    this.#fetchOlder(downstream);
    this.#effects.serve(this.name, downstream, downstream.masks, downstream.held);
    if (this.#status === 'flowing') this.#confirm(downstream);
    this.#follow(downstreamOwner(peer), nowMs);
  }

  #onChange(downstream: Downstream, message: Subscribe, nowMs: number): void {
    downstream.path = message.path;
    downstream.backup = message.backup;
    downstream.via = message.via;
    downstream.epoch = message.epoch;
    downstream.held = message.held;
    downstream.masks = masksOf(message.layers);
    this.#fetchOlder(downstream);
    this.#effects.serve(this.name, downstream, downstream.masks, message.held);
    this.#follow(downstreamOwner(downstream.peer), nowMs);
  }

  onUnsubscribe(peer: string, id: number, nowMs: number): void {
    const downstream = this.#wants.downstreams.get(peer);
    if (downstream?.id !== id) return;
    this.#removeDownstream(downstream);
    this.#afterLeaving(nowMs);
  }

  keyframe(track: number, layer: number, nowMs: number): void {
    if (this.#keyframes.request(track, layer, nowMs)) this.#sendKeyframeRequest(track, layer);
  }

  keyframeSeen(track: number, layer: number): void {
    this.#keyframes.seen(track, layer);
  }

  // ---- the upstream's answers

  onUpstream(peer: string, message: ControlMessage, nowMs: number): void {
    const link = this.#linkOf(peer, message.id);
    if (!link) return;
    switch (message.type) {
      case 'subscribed':
        return this.#onSubscribed(link, message, nowMs);
      case 'tracks':
        return this.#describe(message.epoch, message.tracks);
      case 'path':
        return this.#onPath(link, message, nowMs);
      case 'lost':
        return this.#onLost(link, message.reason, nowMs);
      case 'refused':
        return this.#onFailed(link, message.reason, true, nowMs);
      case 'ended':
        return link === this.#active ? this.#onEnded(link, message, nowMs) : this.#onFailed(link, message.reason, true, nowMs);
      default:
    }
  }

  /** The first media on a subscription of this node. */
  onMedia(peer: string, id: number, nowMs: number): void {
    const link = this.#linkOf(peer, id);
    if (!link) return;
    link.flowing = true;
    if (link === this.#next && link.state === 'standing') this.#promote(nowMs);
  }

  trunkLost(peer: string, nowMs: number): void {
    const behind = this.#wants.downstreams.get(peer);
    if (behind) this.#removeDownstream(behind);
    const lost = [this.#active, this.#next].filter((link) => link !== undefined && nextHop(link) === peer);
    if (lost.length > 0) this.#failures.node(peer, nowMs);
    for (const link of lost) this.#drop(link!, false);
    if (lost.length > 0) this.#repair(`trunk to ${peer} lost`, nowMs);
    if (behind) this.#afterLeaving(nowMs);
  }

  // ---- time

  tick(nowMs: number): void {
    this.#keyframes.flush(nowMs, (track, layer) => this.#sendKeyframeRequest(track, layer));
    if (this.#next && nowMs >= this.#next.requestedAtMs + REQUEST_TIMEOUT_MS) this.#onNextOverdue(this.#next, nowMs);
    if (nowMs >= this.#failures.retryAtMs) this.#retry(nowMs);
    if (nowMs >= this.#pathReportAtMs && this.#status === 'flowing') this.#reportPath(nowMs);
    if (nowMs >= this.#forgetAtMs) this.#dropLinks();
  }

  /** Nobody publishes, pulls or forwards it here any more. */
  isOver(nowMs: number): boolean {
    return this.#origin === undefined && this.#wants.isEmpty && nowMs >= this.#forgetAtMs;
  }

  get description(): StreamDescription | undefined {
    return this.#description;
  }

  /** Origin, or the number of nodes served; for reports. */
  get role(): 'origin' | 'edge' | 'relay' {
    if (this.#origin) return 'origin';
    return this.#wants.locals.size > 0 ? 'edge' : 'relay';
  }

  get measuredPath(): MeasuredPath {
    const link = this.#active;
    if (!link) return { nodes: [], rttMs: 0, lossPercent: 0 };
    const trunk = this.#effects.trunkQuality(nextHop(link));
    return {
      nodes: link.nodes,
      rttMs: link.rttMs + trunk.rttMs,
      lossPercent: 100 * (1 - (1 - link.lossPercent / 100) * (1 - trunk.lossPercent / 100)),
    };
  }

  // ---- choosing an upstream

  /** After someone came or changed what it wants: see that the stream comes, by the way of whom it concerns. */
  #follow(owner: string, nowMs: number): void {
    if (this.#origin) return;
    if (!this.#active && !this.#next) return this.#tryRoutes('no way to the stream is known', nowMs);
    if (this.#active?.state === 'lost' && !this.#next) return this.#tryRoutes('upstream lost', nowMs);
    const route = this.#newRouteOf(owner);
    if (route) this.#changeRoute(route, nowMs);
    else this.#update();
  }

  /** The way that `owner` wants, when it has a say and it is another one than the stream takes. */
  #newRouteOf(owner: string): Route | undefined {
    const current = this.#next ?? this.#active;
    if (!current) return undefined;
    const source = this.#wants.sources().find((other) => other.owner === owner);
    const hasSay = source?.local === true || current.route.owner === owner || this.#wantsLaterEpoch(owner);
    if (!source || !hasSay || source.path.length === 0) return undefined;
    const [route] = routesFor(this.#context.self, [{ ...source, backup: [] }], new Set(this.#wants.downstreams.keys()));
    if (!route) return undefined;
    return routeKey(route.hops) === routeKey(current.route.hops) ? undefined : route;
  }

  #wantsLaterEpoch(owner: string): boolean {
    const downstream = [...this.#wants.downstreams.values()].find(({ peer }) => downstreamOwner(peer) === owner);
    return downstream?.epoch !== undefined && downstream.epoch > (this.#description?.epoch ?? -1);
  }

  /** A planned change: make before break. Further up the same next hop, it is that one's to make. */
  #changeRoute(route: Route, nowMs: number): void {
    const current = this.#next ?? this.#active;
    if (current && nextHop(current) === route.hops[0]!.node) {
      current.route = route;
      return this.#update();
    }
    if (this.#active && routeKey(this.#active.route.hops) === routeKey(route.hops)) {
      if (this.#next) this.#drop(this.#next, true);
      return this.#update();
    }
    this.#request(route, nowMs);
  }

  #tryRoutes(reason: string, nowMs: number): void {
    const standing = this.#active?.state === 'lost' ? routeKey(this.#active.route.hops) : undefined;
    const routes = routesFor(this.#context.self, this.#wants.sources(), new Set(this.#wants.downstreams.keys()));
    const route = routes.find((other) => !this.#failures.avoids(other, nowMs) && routeKey(other.hops) !== standing);
    if (route) return this.#request(route, nowMs);
    if (this.#failures.retryAtMs === Infinity) this.#failures.scheduleRetry(nowMs);
    this.#lose(reason, nowMs);
  }

  #retry(nowMs: number): void {
    this.#failures.forgive();
    if (this.#origin || this.#next || this.#active?.state === 'standing' || this.#wants.isEmpty) return;
    if (this.#active) this.#drop(this.#active, true);
    this.#tryRoutes('no way to the stream works', nowMs);
  }

  #request(route: Route, nowMs: number): void {
    if (this.#next) this.#drop(this.#next, true);
    const peer = route.hops[0]!.node;
    const { id, conversations } = this.#context.open(this.name, peer);
    const request = this.#requestFor(route, id, conversations);
    request.held = this.#wants.positions(this.#effects.held(this.name));
    this.#next = {
      id,
      conversations,
      route,
      state: 'requested',
      requestedAtMs: nowMs,
      flowing: false,
      nodes: [],
      rttMs: 0,
      lossPercent: 0,
      request,
    };
    this.#failures.retryAtMs = Infinity;
    this.#effects.sendUpstream(route.hops[0]!, request);
    this.#effects.bind(this.name, peer, id, conversations);
  }

  #requestFor(route: Route, id: number, conversations: Conversations): Subscribe {
    const { via, backup } = this.#wants.origin(route.owner, this.#context.self);
    const layers = wantedLayers(this.#wants.masks());
    const epoch = this.#wants.epoch();
    return {
      type: 'subscribe',
      id,
      stream: this.name,
      epoch,
      path: route.hops.slice(1),
      backup,
      via,
      layers,
      held: [],
      conversations,
    };
  }

  /** Tells the upstreams what changed: layers, way, backup. */
  #update(): void {
    for (const link of [this.#active, this.#next]) {
      if (!link) continue;
      const request = this.#requestFor(link.route, link.id, link.conversations);
      const sameLayers = sameMasks(masksOf(request.layers), masksOf(link.request.layers));
      const sameWay =
        routeKey(request.path) === routeKey(link.request.path) && routeKey(request.backup) === routeKey(link.request.backup);
      if (sameLayers && sameWay) continue;
      link.request = request;
      this.#effects.sendUpstream(link.route.hops[0]!, request);
    }
  }

  /** A node behind holds less than this one, which has not let anything go: the upstream fills that. */
  #fetchOlder(downstream: Downstream): void {
    if (!this.#active || downstream.held.length === 0) return;
    const older = olderThanHeld(downstream.held, this.#effects.held(this.name));
    if (older.length === 0) return;
    this.#effects.sendUpstream(this.#active.route.hops[0]!, { ...this.#active.request, held: older });
  }

  // ---- what becomes of an upstream

  #onSubscribed(link: UpstreamLink, message: ControlMessage & { type: 'subscribed' }, nowMs: number): void {
    if (message.path.includes(this.#context.self)) return this.#onFailed(link, 'the path leads back here', false, nowMs);
    link.state = 'standing';
    link.nodes = message.path;
    this.#describe(message.epoch, message.tracks);
    if (link === this.#next && (link.flowing || this.#active?.state !== 'standing')) this.#promote(nowMs);
    else if (link === this.#active) this.#recovered('upstream is back', nowMs);
  }

  #onPath(link: UpstreamLink, message: ControlMessage & { type: 'path' }, nowMs: number): void {
    if (message.path.includes(this.#context.self)) return this.#onFailed(link, 'the path leads back here', false, nowMs);
    const moved = link.nodes.join() !== message.path.join();
    link.nodes = message.path;
    link.rttMs = message.rttMs;
    link.lossPercent = message.lossPercent;
    if (moved && link === this.#active) this.#reportPath(nowMs);
  }

  #promote(nowMs: number): void {
    const old = this.#active;
    this.#active = this.#next;
    this.#next = undefined;
    if (old) this.#drop(old, true);
    this.#recovered(`from ${nextHop(this.#active!)}`, nowMs);
  }

  #recovered(reason: string, nowMs: number): void {
    this.#failures.recovered();
    this.#flows(reason);
    this.#reportPath(nowMs);
  }

  #onLost(link: UpstreamLink, reason: string, nowMs: number): void {
    if (link === this.#next) return this.#onFailed(link, reason, false, nowMs);
    link.state = 'lost';
    this.#failures.route(link.route, nowMs);
    this.#repair(reason, nowMs);
  }

  #onFailed(link: UpstreamLink, reason: string, told: boolean, nowMs: number): void {
    this.#failures.route(link.route, nowMs);
    this.#drop(link, !told);
    this.#repair(reason, nowMs);
  }

  /** No media after SUBSCRIBED is no failure: a publisher may be silent. No SUBSCRIBED is one. */
  #onNextOverdue(link: UpstreamLink, nowMs: number): void {
    if (link.state === 'standing') return this.#promote(nowMs);
    this.#failures.node(nextHop(link), nowMs);
    this.#drop(link, true);
    this.#repair(`${nextHop(link)} does not answer`, nowMs);
  }

  /** Local fast reroute: goes on by another way, when the one in use is gone. */
  #repair(reason: string, nowMs: number): void {
    if (this.#origin || this.#active?.state === 'standing' || this.#wants.isEmpty) return;
    if (!this.#next) return this.#tryRoutes(reason, nowMs);
    if (this.#next.state === 'standing') this.#promote(nowMs);
  }

  #onEnded(link: UpstreamLink, message: ControlMessage & { type: 'ended' }, nowMs: number): void {
    this.#drop(link, false);
    this.#failures.route(link.route, nowMs);
    if (message.epoch < (this.#description?.epoch ?? -1)) return this.#repair(message.reason, nowMs);
    this.#end(message.epoch, message.reason, nowMs);
  }

  #drop(link: UpstreamLink, tell: boolean): void {
    const peer = nextHop(link);
    if (link === this.#active) this.#active = undefined;
    if (link === this.#next) this.#next = undefined;
    this.#effects.unbind(this.name, peer, link.id, link.conversations);
    if (tell) this.#effects.sendUpstream(link.route.hops[0]!, { type: 'unsubscribe', id: link.id });
    this.#context.closed(peer, link.id, tell);
  }

  #dropLinks(): void {
    for (const link of [this.#active, this.#next]) if (link) this.#drop(link, true);
  }

  #linkOf(peer: string, id: number): UpstreamLink | undefined {
    return [this.#active, this.#next].find((link) => link?.id === id && nextHop(link) === peer);
  }

  // ---- telling those who want it

  #describe(epoch: number, tracks: TrackDescription[]): void {
    const known = this.#description;
    if (known && (epoch < known.epoch || (epoch === known.epoch && JSON.stringify(tracks) === JSON.stringify(known.tracks))))
      return;
    this.#description = { stream: this.name, epoch, tracks };
    this.#effects.describe(this.#description);
    for (const downstream of this.#wants.downstreams.values()) {
      if (downstream.state === 'standing')
        this.#effects.sendDownstream(downstream.peer, { type: 'tracks', id: downstream.id, epoch, tracks });
    }
  }

  #flows(reason: string): void {
    for (const downstream of this.#wants.downstreams.values()) this.#confirm(downstream);
    this.#setStatus('flowing', reason);
  }

  #confirm(downstream: Downstream): void {
    if (!this.#description || downstream.state === 'standing') return;
    const { epoch, tracks } = this.#description;
    downstream.state = 'standing';
    const path = [this.#context.self, ...(this.#active?.nodes ?? [])].slice(0, 8);
    this.#effects.sendDownstream(downstream.peer, { type: 'subscribed', id: downstream.id, epoch, tracks, path });
  }

  /** No way is left: those behind may have one. Who was served stays known, since it may have none either. */
  #lose(reason: string, nowMs: number): void {
    for (const downstream of [...this.#wants.downstreams.values()]) {
      if (downstream.state === 'standing') {
        downstream.state = 'lost';
        this.#effects.sendDownstream(downstream.peer, { type: 'lost', id: downstream.id, reason });
      } else if (downstream.state === 'waiting') {
        this.#effects.sendDownstream(downstream.peer, { type: 'refused', id: downstream.id, code: 'unknown-stream', reason });
        this.#removeDownstream(downstream);
      }
    }
    this.#setStatus('lost', reason);
    if (this.#wants.isEmpty) this.#afterLeaving(nowMs);
  }

  #end(epoch: number, reason: string, nowMs: number): void {
    for (const downstream of [...this.#wants.downstreams.values()]) {
      this.#effects.sendDownstream(downstream.peer, { type: 'ended', id: downstream.id, epoch, reason });
      this.#removeDownstream(downstream);
    }
    if (this.#next) this.#drop(this.#next, true);
    this.#setStatus('ended', reason);
    // Whoever stays is waiting for a publisher of the same name.
    if (!this.#wants.isEmpty) this.#failures.scheduleRetry(nowMs);
    else this.#forgetAtMs = nowMs;
  }

  #setStatus(status: StreamStatus, reason: string): void {
    if (this.#status === status) return;
    if (status === 'lost' && this.#status === 'ended') return;
    this.#status = status;
    this.#effects.status(this.name, status, reason);
  }

  #reportPath(nowMs: number): void {
    this.#pathReportAtMs = nowMs + PATH_REPORT_MS;
    const path = this.measuredPath;
    this.#effects.path(this.name, path);
    const message = {
      type: 'path' as const,
      path: [this.#context.self, ...path.nodes].slice(0, 8),
      rttMs: path.rttMs,
      lossPercent: path.lossPercent,
    };
    for (const { state, peer, id } of this.#wants.downstreams.values()) {
      if (state === 'standing') this.#effects.sendDownstream(peer, { ...message, id });
    }
  }

  #removeDownstream(downstream: Downstream): void {
    this.#wants.downstreams.delete(downstream.peer);
    this.#effects.stopServing(this.name, downstream);
  }

  #afterLeaving(nowMs: number): void {
    if (!this.#wants.isEmpty) return this.#update();
    this.#failures.retryAtMs = Infinity;
    if (!this.#origin && this.#forgetAtMs === Infinity) this.#forgetAtMs = nowMs + this.#lingerMs;
  }

  #sendKeyframeRequest(track: number, layer: number): void {
    if (this.#origin) return this.#effects.requestKeyframe(this.name, track, layer);
    const link = this.#active ?? this.#next;
    if (link) this.#effects.sendUpstream(link.route.hops[0]!, { type: 'keyframe', id: link.id, track, layer });
  }
}
