import { StreamListQuery, StreamName, type StreamList, type StreamPath, type StreamView } from '@millrace/api';
import { allowMethods, Problem, parseRequest } from '@millrace/service';
import { Router } from 'express';
import type { StreamEntry } from '../directory/index.ts';
import type { Fleet } from '../fleet/index.ts';
import type { LiveStreams } from '../streams/index.ts';
import { maySee, requireApp } from './access.ts';
import type { HttpContext } from './context.ts';

/** Paths of a stream that an answer lists. */
const MAX_PATHS = 64;

/** GET /v1/streams and /v1/streams/{app}/{name}: those of the key's apps. */
export function streamRoutes({ streams, fleet }: HttpContext): Router {
  const router = Router();
  router
    .route('/streams')
    .get((req, res) => {
      const { prefix = '', limit, continue: after } = parseRequest(StreamListQuery, req.query, 'query');
      const [app, name] = prefix.split('/', 2);
      if (name !== undefined) requireApp(res, app!);
      const names: string[] = [];
      for (const { stream } of streams.entries())
        if (stream.startsWith(prefix) && (after === undefined || stream > after) && maySee(res, stream)) names.push(stream);
      names.sort();
      const page = names.slice(0, limit);
      const items = page.map((name) => streamView(streams.get(name)!, streams, fleet));
      const list: StreamList = names.length > page.length ? { items, continue: page.at(-1)! } : { items };
      res.json(list);
    })
    .all(allowMethods(['GET']));
  router
    .route('/streams/:app/:name')
    .get((req, res) => {
      const stream = parseRequest(StreamName, `${req.params.app}/${req.params.name}`, 'path');
      requireApp(res, req.params.app);
      const entry = streams.get(stream);
      if (!entry)
        throw new Problem(404, 'No such stream', { detail: `nobody publishes ${stream} now`, headers: { 'retry-after': '2' } });
      res.json(streamView(entry, streams, fleet));
    })
    .all(allowMethods(['GET']));
  return router;
}

/** A stream as it is published, and as the nodes that carry this epoch of it report. */
export function streamView(entry: StreamEntry, streams: LiveStreams, fleet: Fleet): StreamView {
  const paths: StreamPath[] = [];
  let viewers = 0;
  let publisher: StreamView['publisher'];
  for (const [node, report] of fleet.carriers(entry.stream)) {
    const region = fleet.spec(node)?.region;
    if (report.epoch !== entry.epoch || region === undefined) continue;
    viewers += report.viewers;
    const { role, path, rttMs, lossPercent } = report;
    if (node === entry.node) publisher = report.publisher;
    paths.push({ node, region, role, viewers: report.viewers, hops: path, rttMs, lossPercent });
  }
  const route = streams.ruleOf(entry.stream)?.name;
  return {
    stream: entry.stream,
    epoch: entry.epoch,
    since: new Date(entry.since).toISOString(),
    origin: { node: entry.node, region: entry.region },
    viewers,
    tracks: entry.tracks,
    policy: streams.policyOf(entry.stream),
    ...(route === undefined ? {} : { route }),
    ...(publisher ? { publisher } : {}),
    nodes: paths.length,
    paths: paths
      .sort((a, b) => rankOf(b) - rankOf(a))
      .slice(0, MAX_PATHS)
      .sort((a, b) => (a.node < b.node ? -1 : 1)),
  };
}

function rankOf({ role, viewers }: StreamPath): number {
  return role === 'origin' ? Number.MAX_SAFE_INTEGER : viewers;
}
