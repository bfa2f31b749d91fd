import type { StreamView, Topology, TopologyLink, TopologyNode, TopologyRoute } from '@millrace/api';
import { allowMethods, openEventStream, Problem, type Timer } from '@millrace/service';
import { Router, type Request, type Response } from 'express';
import { coversStream, type AppKey } from '../tokens/index.ts';
import { keyOf } from './access.ts';
import type { HttpContext } from './context.ts';
import { streamView } from './streams.ts';

/** Minimum interval between two snapshots of the topology, ms, shared by all listeners. */
const EVERY_MS = 1000;
/** Maximum interval between events, ms, even without a change: shows proxies and clients that the stream is alive. */
const AT_LEAST_EVERY_MS = 15_000;
const MAX_LISTENERS = 200;
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;
const LIMITS = { nodes: 1000, links: 5000, routes: 2000, streams: 200 };

type Network = Omit<Topology, 'streams'>;

/** Nodes, links and routes, bounded; `truncated` names what was left out. */
function networkOf({ fleet, clock }: Pick<HttpContext, 'fleet' | 'clock'>): Network {
  const nodes: TopologyNode[] = [];
  const links: TopologyLink[] = [];
  const routes: TopologyRoute[] = [];
  const regions = new Map<string, { nodes: number; sessions: number; viewers: number; egressMbps: number }>();
  for (const spec of fleet.specs()) {
    const presence = fleet.presence(spec.name);
    const load = presence?.report?.load;
    const { name: node, edge, region, provider, isp, cordoned } = spec;
    const sum = regions.get(region) ?? { nodes: 0, sessions: 0, viewers: 0, egressMbps: 0 };
    regions.set(region, {
      nodes: sum.nodes + 1,
      sessions: sum.sessions + (load?.sessions ?? 0),
      viewers: sum.viewers + (load?.viewers ?? 0),
      egressMbps: sum.egressMbps + (load?.egressMbps ?? 0),
    });
    nodes.push({
      node,
      edge,
      region,
      provider,
      ...(isp === undefined ? {} : { isp }),
      roles: [...spec.roles],
      connected: fleet.isConnected(node),
      cordoned,
      draining: spec.drain !== undefined,
      ...(presence ? { signalingUrl: presence.hello.endpoints.signalingUrl } : {}),
      ...(load ? { load } : {}),
    });
    for (const { peer: to, state, rttMs, jitterMs, lossPercent, sendKbps } of presence?.report?.links ?? []) {
      links.push({ from: node, to, state, rttMs, jitterMs, lossPercent, sendKbps });
    }
    for (const route of spec.routes) {
      const [primary, backup] = route.paths;
      if (!primary) continue;
      const hops = [...primary.hops];
      routes.push({
        from: route.originRegion,
        to: region,
        node,
        policy: route.policy,
        hops,
        ...(backup ? { backup: [...backup.hops] } : {}),
      });
    }
  }
  const truncated: Topology['truncated'] = [];
  if (nodes.length > LIMITS.nodes) truncated.push('nodes');
  if (links.length > LIMITS.links) truncated.push('links');
  if (routes.length > LIMITS.routes) truncated.push('routes');
  return {
    at: new Date(clock.wall()).toISOString(),
    regions: [...regions].map(([region, sum]) => ({ region, ...sum })).sort((a, b) => (a.region < b.region ? -1 : 1)),
    nodes: nodes.slice(0, LIMITS.nodes),
    links: links.slice(0, LIMITS.links),
    routes: routes.slice(0, LIMITS.routes),
    truncated,
  };
}

/** The topology with the streams that a key may see, bounded after that: streams of other apps take no place of them. */
function topologyFor(key: AppKey, network: Network, { fleet, streams }: HttpContext): Topology {
  const views: StreamView[] = [];
  let isCut = false;
  for (const entry of streams.entries()) {
    if (!coversStream(key, entry.stream)) continue;
    isCut = views.length === LIMITS.streams;
    if (isCut) break;
    views.push(streamView(entry, streams, fleet));
  }
  return { ...network, streams: views, truncated: isCut ? [...network.truncated, 'streams'] : network.truncated };
}

/** What the holders of one key see. */
interface View {
  topology: Topology;
  builtAtMs: number;
  /** The picture that was sent last, and when. */
  last: string;
  sentAtMs: number;
}

/** Of whoever may see all streams. */
const EVERYTHING: AppKey = { name: '', apps: undefined };

/** Builds the topology once for all listeners with a key, and only while there are any. */
export class TopologyFeed {
  readonly #context: HttpContext;
  /** The key of each. */
  readonly #listeners = new Map<Response, AppKey>();
  #views = new WeakMap<AppKey, View>();
  #network: { built: Network; atMs: number } | undefined;
  #timer: Timer | undefined;

  constructor(context: HttpContext) {
    this.#context = context;
  }

  /** What the caller may see of it, at most a second old. */
  get(res: Response): Topology {
    return this.#view(keyIn(res)).topology;
  }

  listen(req: Request, res: Response): void {
    if (this.#listeners.size >= MAX_LISTENERS)
      throw new Problem(503, 'Too many listeners', {
        detail: `at most ${MAX_LISTENERS} may follow the topology at once; ask GET /v1/topology from time to time`,
        headers: { 'Retry-After': '10' },
      });
    if (!openEventStream(req, res)) return;
    res.write(`retry: 2000\n\n${eventOf(this.get(res))}`);
    this.#listeners.set(res, keyIn(res));
    res.on('close', () => this.#listeners.delete(res));
    this.#schedule();
  }

  close(): void {
    this.#context.clock.clearTimeout(this.#timer);
    for (const res of this.#listeners.keys()) res.end();
    this.#listeners.clear();
  }

  #view(key: AppKey): View {
    const now = this.#context.clock.now();
    const before = this.#views.get(key);
    if (before && now - before.builtAtMs < EVERY_MS) return before;
    if (!this.#network || now - this.#network.atMs >= EVERY_MS) this.#network = { built: networkOf(this.#context), atMs: now };
    const topology = topologyFor(key, this.#network.built, this.#context);
    const view = { topology, builtAtMs: now, last: before?.last ?? '', sentAtMs: before?.sentAtMs ?? -Infinity };
    this.#views.set(key, view);
    return view;
  }

  #schedule(): void {
    if (this.#timer || this.#listeners.size === 0) return;
    this.#timer = this.#context.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#send();
      this.#schedule();
    }, EVERY_MS);
  }

  #send(): void {
    const events = new Map<AppKey, string | undefined>();
    for (const [res, key] of this.#listeners) {
      if (!events.has(key)) events.set(key, this.#news(key));
      const event = events.get(key);
      if (event === undefined) continue;
      // A listener that does not read skips events, and is disconnected when even the buffered ones exceed the limit.
      if (res.writableLength > MAX_UNSENT_BYTES) res.destroy();
      else if (!res.writableNeedDrain) res.write(event);
    }
  }

  /** The event for the holders of a key; undefined when nothing has changed lately. */
  #news(key: AppKey): string | undefined {
    const view = this.#view(key);
    const picture = JSON.stringify({ ...view.topology, at: '' });
    const now = this.#context.clock.now();
    if (picture === view.last && now - view.sentAtMs < AT_LEAST_EVERY_MS) return undefined;
    view.last = picture;
    view.sentAtMs = now;
    return eventOf(view.topology);
  }
}

/** The caller's key; EVERYTHING for one without a list of apps, which all share a view. */
function keyIn(res: Response): AppKey {
  const key = keyOf(res);
  return key?.apps ? key : EVERYTHING;
}

function eventOf(topology: Topology): string {
  return `event: topology\ndata: ${JSON.stringify(topology)}\n\n`;
}

/** GET /v1/topology and its event stream. */
export function topologyRoutes(feed: TopologyFeed): Router {
  const router = Router();
  router
    .route('/topology')
    .get((_req, res) => {
      res.json(feed.get(res));
    })
    .all(allowMethods(['GET']));
  router
    .route('/topology/events')
    .get((req, res) => feed.listen(req, res))
    .all(allowMethods(['GET']));
  return router;
}
