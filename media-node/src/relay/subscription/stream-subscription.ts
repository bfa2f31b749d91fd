import type { TrunkControlMessage, StreamDescription, Subscribe, TrackDescription } from '@millrace/api/trunk';
import { refusalOf } from './admission.ts';
import { Audience } from './audience.ts';
import type { MeasuredPath, StreamStatus, SubscriptionEffects } from './effects.ts';
import { Failures } from './failures.ts';
import { KeyframeRequests } from './keyframe-requests.ts';
import { masksOf } from './layer-masks.ts';
import { routeKey, routesFor, type Route, type RouteSource } from './routes.ts';
import { nextHop, REQUEST_TIMEOUT_MS, UpstreamLinks, type SubscriptionContext, type UpstreamLink } from './upstream-links.ts';
import { downstreamOf, downstreamOwner, localOwner, Wants, type Downstream, type LocalWant } from './wants.ts';

/** A relay keeps a stream this long after its last downstream node left, since it may return. */
const RELAY_LINGER_MS = 1000;
const PATH_REPORT_MS = 2000;

type Message<T extends TrunkControlMessage['type']> = TrunkControlMessage & { type: T };

/**
 * One stream at one node: it has one upstream, however many local pulls and downstream nodes it serves. The caller passes the time in; `tick`
 * handles due timers.
 */
export class StreamSubscription {
  readonly name: string;
  readonly #context: SubscriptionContext;
  readonly #effects: SubscriptionEffects;
  readonly #wants = new Wants();
  readonly #links: UpstreamLinks;
  readonly #audience: Audience;
  readonly #failures: Failures;
  readonly #keyframes = new KeyframeRequests();
  /** Published here. */
  #origin: StreamDescription | undefined;
  #description: StreamDescription | undefined;
  #status: StreamStatus | undefined;
  #lingerMs = RELAY_LINGER_MS;
  #forgetAtMs = Infinity;
  #pathReportAtMs = -Infinity;

  constructor(name: string, context: SubscriptionContext) {
    this.name = name;
    this.#context = context;
    this.#effects = context.effects;
    this.#links = new UpstreamLinks(name, context, this.#wants, () => this.#description);
    this.#audience = new Audience(name, context.self, this.#wants, context.effects);
    this.#failures = new Failures(context.random);
  }

  get description(): StreamDescription | undefined {
    return this.#description;
  }

  get role(): 'origin' | 'edge' | 'relay' {
    if (this.#origin) return 'origin';
    return this.#wants.locals.size > 0 ? 'edge' : 'relay';
  }

  get measuredPath(): MeasuredPath {
    return this.#links.measuredPath();
  }

  serves(peer: string, id: number): boolean {
    return this.#wants.downstreams.get(peer)?.id === id;
  }

  /** Nobody publishes, pulls or forwards it here any more. */
  isOver(nowMs: number): boolean {
    return this.#origin === undefined && this.#wants.isEmpty && nowMs >= this.#forgetAtMs;
  }

  // ---- the publisher on this node

  /** The stream is published here from now on, or its tracks changed. */
  publish(epoch: number, tracks: TrackDescription[], nowMs: number, grant?: string): void {
    if (this.#origin && epoch < this.#origin.epoch) return;
    this.#origin = { stream: this.name, epoch, tracks, grant };
    this.#links.dropAll();
    this.#forgetAtMs = Infinity;
    this.#describe(this.#origin);
    this.#flows('published here', nowMs);
  }

  unpublish(epoch: number, reason: string, nowMs: number): void {
    if (this.#origin?.epoch !== epoch) return;
    this.#origin = undefined;
    this.#end(epoch, reason, nowMs);
  }

  // ---- requests

  want(id: string, want: LocalWant, nowMs: number): void {
    this.#wants.locals.delete(id);
    this.#wants.locals.set(id, want);
    this.#lingerMs = want.lingerMs;
    this.#forgetAtMs = Infinity;
    this.#failures.forgiveRoutes();
    // Due at once, so that the new pull learns the path.
    this.#pathReportAtMs = nowMs;
    this.#follow(localOwner(id), nowMs);
  }

  release(id: string, nowMs: number): void {
    if (this.#wants.locals.delete(id)) this.#afterLeaving(nowMs);
  }

  onSubscribe(peer: string, message: Subscribe, nowMs: number): void {
    const refusal = refusalOf(message, peer, {
      self: this.#context.self,
      relays: this.#context.relays,
      originEpoch: this.#origin?.epoch,
      upstream: this.#links.active?.nodes ?? [],
      carried: this.#links.active !== undefined,
      downstreams: this.#wants.downstreams.size,
      knows: (node) => this.#context.hopTo(node, message.grant) !== undefined,
    });
    if (refusal) {
      this.#effects.sendDownstream(peer, { type: 'refused', id: message.id, ...refusal });
      return this.#afterLeaving(nowMs);
    }
    const known = this.#wants.downstreams.get(peer);
    if (known && known.id !== message.id) this.#audience.remove(known);
    const downstream = known?.id === message.id ? changed(known, message) : downstreamOf(peer, message);
    this.#wants.downstreams.set(peer, downstream);
    this.#forgetAtMs = Infinity;
    this.#links.fetchOlder(downstream);
    this.#effects.serve(this.name, downstream, downstream.masks, downstream.held);
    if (this.#status === 'flowing') this.#audience.confirm(this.#description, this.measuredPath.nodes);
    this.#follow(downstreamOwner(peer), nowMs);
  }

  onUnsubscribe(peer: string, id: number, nowMs: number): void {
    const downstream = this.#wants.downstreams.get(peer);
    if (downstream?.id !== id) return;
    this.#audience.remove(downstream);
    this.#afterLeaving(nowMs);
  }

  keyframe(track: number, layer: number, nowMs: number): void {
    if (this.#keyframes.request(track, layer, nowMs)) this.#sendKeyframeRequest(track, layer);
  }

  keyframeSeen(track: number, layer: number): void {
    this.#keyframes.seen(track, layer);
  }

  // ---- the upstream's answers

  onUpstream(peer: string, message: TrunkControlMessage, nowMs: number): void {
    const link = this.#links.find(peer, message.id);
    if (!link) return;
    switch (message.type) {
      case 'subscribed':
        return this.#onSubscribed(link, message, nowMs);
      case 'tracks':
        return this.#describe(message);
      case 'path':
        return this.#onPath(link, message, nowMs);
      case 'lost':
        return this.#onLost(link, message.reason, nowMs);
      case 'refused':
        return this.#onFailed(link, message.reason, false, nowMs);
      case 'ended':
        return this.#onEnded(link, message, nowMs);
      default:
    }
  }

  /** The first media on a subscription of this node. */
  onMedia(peer: string, id: number, nowMs: number): void {
    const link = this.#links.find(peer, id);
    if (!link) return;
    link.flowing = true;
    if (link === this.#links.next && link.state === 'standing') this.#promote(nowMs);
  }

  trunkLost(peer: string, nowMs: number): void {
    const behind = this.#wants.downstreams.get(peer);
    if (behind) this.#audience.remove(behind);
    const lost = this.#links.over(peer);
    if (lost.length > 0) this.#failures.node(peer, nowMs);
    for (const link of lost) this.#links.drop(link, false);
    if (lost.length > 0) this.#repair(`trunk to ${peer} lost`, nowMs);
    if (behind) this.#afterLeaving(nowMs);
  }

  /** Ends the back-off: the peer may be on a route that failed. */
  trunkUp(peer: string, nowMs: number): void {
    this.#failures.forgiveNode(peer);
    if (nowMs < this.#failures.retryAtMs && this.#failures.retryAtMs < Infinity) this.#retry(nowMs);
  }

  // ---- time

  /** Handles due timers; returns when to call again, ms. */
  tick(nowMs: number): number {
    const keyframeDueMs = this.#keyframes.flush(nowMs, (track, layer) => this.#sendKeyframeRequest(track, layer));
    const { next } = this.#links;
    if (next && nowMs >= next.requestedAtMs + REQUEST_TIMEOUT_MS) this.#onOverdue(next, nowMs);
    if (nowMs >= this.#failures.retryAtMs) this.#retry(nowMs);
    if (nowMs >= this.#pathReportAtMs && this.#status === 'flowing') this.#reportPath(nowMs);
    if (nowMs >= this.#forgetAtMs) this.#links.dropAll();
    return Math.min(keyframeDueMs, this.#dueMs);
  }

  get #dueMs(): number {
    return Math.min(
      (this.#links.next?.requestedAtMs ?? Infinity) + REQUEST_TIMEOUT_MS,
      this.#failures.retryAtMs,
      this.#status === 'flowing' ? this.#pathReportAtMs : Infinity,
      this.#forgetAtMs,
    );
  }

  // ---- choosing an upstream

  /** A request is new or has changed: requests the stream, or follows the route of this request. */
  #follow(owner: string, nowMs: number): void {
    if (this.#origin) return;
    const { active, next } = this.#links;
    if (!next && active?.state !== 'standing') return this.#tryRoutes('no way to the stream is known', nowMs);
    const route = this.#newRouteOf(owner);
    if (route) this.#changeRoute(route, nowMs);
    else this.#links.update();
  }

  /** The route that `owner` requests, if it may choose the route and it differs from the current one. */
  #newRouteOf(owner: string): Route | undefined {
    const current = this.#links.next ?? this.#links.active;
    const source = this.#wants.sources().find((other) => other.owner === owner);
    if (!current || !source) return undefined;
    const mayChoose =
      source.local || current.route.owner === owner || this.#wants.epochOf(owner) > (this.#description?.epoch ?? -1);
    if (!mayChoose) return undefined;
    const [route] = this.#routes([{ ...source, backup: [] }]);
    return route && routeKey(route.hops) !== routeKey(current.route.hops) ? route : undefined;
  }

  /** A planned change of route, make before break. When the next hop stays the same, it makes the change further upstream. */
  #changeRoute(route: Route, nowMs: number): void {
    const { active, next } = this.#links;
    const current = next ?? active;
    if (current && nextHop(current) === route.hops[0]) {
      current.route = route;
      return this.#links.update();
    }
    if (active && routeKey(active.route.hops) === routeKey(route.hops)) {
      if (next) this.#links.drop(next, true);
      return this.#links.update();
    }
    this.#links.request(route, nowMs);
  }

  #tryRoutes(reason: string, nowMs: number): void {
    const lost = this.#links.active && routeKey(this.#links.active.route.hops);
    const route = this.#routes(this.#wants.sources()).find(
      (other) => !this.#failures.avoids(other, nowMs) && routeKey(other.hops) !== lost,
    );
    if (route) {
      this.#failures.retryAtMs = Infinity;
      return this.#links.request(route, nowMs);
    }
    if (this.#failures.retryAtMs === Infinity) this.#failures.scheduleRetry(nowMs, this.#status === 'ended' ? 'ended' : 'lost');
    this.#audience.lose(reason);
    if (this.#status !== 'ended') this.#setStatus('lost', reason);
    if (this.#wants.isEmpty) this.#afterLeaving(nowMs);
  }

  /** Tries other routes. An active upstream that reported `lost` retries by itself and is kept meanwhile. */
  #retry(nowMs: number): void {
    this.#failures.forgive();
    const { active, next } = this.#links;
    if (this.#origin || next || active?.state === 'standing' || this.#wants.isEmpty) return;
    this.#tryRoutes('no way to the stream works', nowMs);
  }

  /** Local fast reroute: switches to another route when the current one has failed. */
  #repair(reason: string, nowMs: number): void {
    const { active, next } = this.#links;
    if (this.#origin || active?.state === 'standing' || this.#wants.isEmpty) return;
    if (!next) return this.#tryRoutes(reason, nowMs);
    if (next.state === 'standing') this.#promote(nowMs);
  }

  #promote(nowMs: number): void {
    this.#links.promote();
    this.#flows(`from ${nextHop(this.#links.active!)}`, nowMs);
  }

  /** Routes whose next hop can be dialled and which lead to the origin that control granted the name to. */
  #routes(sources: RouteSource[]): Route[] {
    const { self, hopTo, originOf } = this.#context;
    const { grant } = this.#wants.newest(this.#description);
    const origin = originOf(grant);
    const isOpen = (hops: readonly string[]): boolean =>
      hopTo(hops[0]!, grant) !== undefined && (origin === undefined || hops.at(-1) === origin);
    return routesFor(self, sources, new Set(this.#wants.downstreams.keys()), isOpen);
  }

  // ---- state changes of an upstream

  #onSubscribed(link: UpstreamLink, message: Message<'subscribed'>, nowMs: number): void {
    if (message.path.includes(this.#context.self)) return this.#onFailed(link, 'the path leads back here', true, nowMs);
    link.state = 'standing';
    link.nodes = message.path;
    this.#describe(message);
    const { active, next } = this.#links;
    if (link === active) this.#flows('upstream is back', nowMs);
    else if (link === next && (link.flowing || active?.state !== 'standing')) this.#promote(nowMs);
  }

  #onPath(link: UpstreamLink, message: Message<'path'>, nowMs: number): void {
    if (message.path.includes(this.#context.self)) return this.#onFailed(link, 'the path leads back here', true, nowMs);
    const moved = link.nodes.join() !== message.path.join();
    link.nodes = message.path;
    link.rttMs = message.rttMs;
    link.lossPercent = message.lossPercent;
    if (moved && link === this.#links.active) this.#reportPath(nowMs);
  }

  #onLost(link: UpstreamLink, reason: string, nowMs: number): void {
    if (link === this.#links.next) return this.#onFailed(link, reason, true, nowMs);
    link.state = 'lost';
    this.#failures.route(link.route, nowMs);
    this.#repair(reason, nowMs);
  }

  #onFailed(link: UpstreamLink, reason: string, tell: boolean, nowMs: number): void {
    this.#failures.route(link.route, nowMs);
    this.#links.drop(link, tell);
    this.#repair(reason, nowMs);
  }

  /** No answer is a failure. No media after SUBSCRIBED is not, since a publisher may be silent. */
  #onOverdue(link: UpstreamLink, nowMs: number): void {
    if (link.state === 'standing') return this.#promote(nowMs);
    this.#failures.node(nextHop(link), nowMs);
    this.#links.drop(link, true);
    this.#repair(`${nextHop(link)} does not answer`, nowMs);
  }

  #onEnded(link: UpstreamLink, message: Message<'ended'>, nowMs: number): void {
    const isOld = message.epoch < (this.#description?.epoch ?? -1);
    if (isOld || link !== this.#links.active) return this.#onFailed(link, message.reason, false, nowMs);
    this.#failures.route(link.route, nowMs);
    this.#links.drop(link, false);
    // A route to the next publisher of the same name is being set up already.
    if (this.#links.next) return;
    this.#end(message.epoch, message.reason, nowMs);
  }

  // ---- notifications

  #describe({ epoch, tracks, grant }: Omit<StreamDescription, 'stream'>): void {
    const known = this.#description;
    const isSame = epoch === known?.epoch && grant === known.grant && JSON.stringify(tracks) === JSON.stringify(known.tracks);
    if (isSame || epoch < (known?.epoch ?? -1)) return;
    this.#description = { stream: this.name, epoch, tracks, grant };
    this.#effects.describe(this.#description);
    this.#audience.describe(this.#description);
  }

  #flows(reason: string, nowMs: number): void {
    this.#failures.recovered();
    this.#audience.confirm(this.#description, this.measuredPath.nodes);
    this.#setStatus('flowing', reason);
    this.#reportPath(nowMs);
  }

  #end(epoch: number, reason: string, nowMs: number): void {
    this.#audience.end(epoch, reason);
    this.#setStatus('ended', reason);
    // Remaining requests wait for the next publisher of the same name.
    if (!this.#wants.isEmpty) this.#failures.scheduleRetry(nowMs, 'ended');
    else this.#forgetAtMs = nowMs;
  }

  #setStatus(status: StreamStatus, reason: string): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#effects.status(this.name, status, reason);
  }

  #reportPath(nowMs: number): void {
    this.#pathReportAtMs = nowMs + PATH_REPORT_MS;
    const path = this.measuredPath;
    this.#effects.path(this.name, path);
    this.#audience.reportPath(path);
  }

  #afterLeaving(nowMs: number): void {
    if (!this.#wants.isEmpty) return this.#links.update();
    this.#failures.retryAtMs = Infinity;
    if (!this.#origin && this.#forgetAtMs === Infinity) this.#forgetAtMs = nowMs + this.#lingerMs;
  }

  #sendKeyframeRequest(track: number, layer: number): void {
    if (this.#origin) return this.#effects.requestKeyframe(this.name, track, layer);
    const link = this.#links.active ?? this.#links.next;
    if (link) this.#links.send(link, { type: 'keyframe', id: link.id, track, layer });
  }
}

/** Updates a subscription with the subscriber's new request. */
function changed(downstream: Downstream, message: Subscribe): Downstream {
  const { path, backup, via, epoch, grant, held } = message;
  return Object.assign(downstream, { path, backup, via, epoch, grant, held, masks: masksOf(message.layers) });
}
