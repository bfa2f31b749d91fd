import type { Topology, TopologyLink, TopologyNode, TopologyRoute } from '@millrace/api';
import { allowMethods, openEventStream, Problem, type Timer } from '@millrace/service';
import { Router, type Request, type Response } from 'express';
import { keyOf, maySee } from './access.ts';
import type { HttpContext } from './context.ts';
import { streamView } from './streams.ts';

/** Minimum interval between two snapshots of the topology, ms, shared by all listeners. */
const EVERY_MS = 1000;
/** Maximum interval between events, ms, even without a change: shows proxies and clients that the stream is alive. */
const AT_LEAST_EVERY_MS = 15_000;
const MAX_LISTENERS = 200;
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;
const LIMITS = { nodes: 1000, links: 5000, routes: 2000, streams: 200 };

/** The whole topology, bounded; `truncated` names what was left out. */
function topologyOf({ fleet, streams, clock }: Pick<HttpContext, 'fleet' | 'streams' | 'clock'>): Topology {
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
  const live = [...streams.entries()].slice(0, LIMITS.streams).map((entry) => streamView(entry, streams, fleet));
  const truncated: Topology['truncated'] = [];
  if (nodes.length > LIMITS.nodes) truncated.push('nodes');
  if (links.length > LIMITS.links) truncated.push('links');
  if (routes.length > LIMITS.routes) truncated.push('routes');
  if (streams.size > LIMITS.streams) truncated.push('streams');
  return {
    at: new Date(clock.wall()).toISOString(),
    regions: [...regions].map(([region, sum]) => ({ region, ...sum })).sort((a, b) => (a.region < b.region ? -1 : 1)),
    nodes: nodes.slice(0, LIMITS.nodes),
    links: links.slice(0, LIMITS.links),
    routes: routes.slice(0, LIMITS.routes),
    streams: live,
    truncated,
  };
}

/** Builds the topology once for all listeners, and only while there are any. */
export class TopologyFeed {
  readonly #context: HttpContext;
  readonly #listeners = new Set<Response>();
  #timer: Timer | undefined;
  #last = '';
  #sentAt = -Infinity;
  #current: { topology: Topology; at: number } | undefined;

  constructor(context: HttpContext) {
    this.#context = context;
  }

  /** At most a second old. */
  get(): Topology {
    const now = this.#context.clock.now();
    if (!this.#current || now - this.#current.at >= EVERY_MS) this.#current = { topology: topologyOf(this.#context), at: now };
    return this.#current.topology;
  }

  listen(req: Request, res: Response): void {
    if (this.#listeners.size >= MAX_LISTENERS)
      throw new Problem(503, 'Too many listeners', {
        detail: `at most ${MAX_LISTENERS} may follow the topology at once; ask GET /v1/topology from time to time`,
        headers: { 'Retry-After': '10' },
      });
    if (!openEventStream(req, res)) return;
    res.write(`retry: 2000\n\nevent: topology\ndata: ${JSON.stringify(visible(this.get(), res))}\n\n`);
    this.#listeners.add(res);
    res.on('close', () => this.#listeners.delete(res));
    this.#schedule();
  }

  close(): void {
    this.#context.clock.clearTimeout(this.#timer);
    for (const res of this.#listeners) res.end();
    this.#listeners.clear();
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
    const topology = this.get();
    const picture = JSON.stringify({ ...topology, at: '' });
    const now = this.#context.clock.now();
    if (picture === this.#last && now - this.#sentAt < AT_LEAST_EVERY_MS) return;
    this.#last = picture;
    this.#sentAt = now;
    const event = eventOf(topology);
    for (const res of this.#listeners) {
      // A listener that does not read skips events, and is disconnected when even the buffered ones exceed the limit.
      if (res.writableLength > MAX_UNSENT_BYTES) res.destroy();
      else if (!res.writableNeedDrain) res.write(keyOf(res)?.apps ? eventOf(visible(topology, res)) : event);
    }
  }
}

/** Without the streams of apps that the caller's key is not for. */
function visible(topology: Topology, res: Response): Topology {
  if (!keyOf(res)?.apps) return topology;
  return { ...topology, streams: topology.streams.filter(({ stream }) => maySee(res, stream)) };
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
      res.json(visible(feed.get(), res));
    })
    .all(allowMethods(['GET']));
  router
    .route('/topology/events')
    .get((req, res) => feed.listen(req, res))
    .all(allowMethods(['GET']));
  return router;
}
