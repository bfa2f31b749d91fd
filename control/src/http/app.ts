import { cors, identifyClient, limitRequests, notFoundHandler, problemHandler, tolerantPaths } from '@millrace/service';
import express, { type Express } from 'express';
import { allowApps } from './access.ts';
import type { HttpContext } from './context.ts';
import { placementRoutes } from './placement.ts';
import { referenceRoutes } from './reference.ts';
import { signalingRoutes } from './signaling.ts';
import { streamRoutes } from './streams.ts';
import { TopologyFeed, topologyRoutes } from './topology.ts';

export type { HttpContext } from './context.ts';

/** The Express app, and a function that ends its event streams. */
export function controlApp(context: HttpContext): { app: Express; close: () => void } {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(identifyClient(context.isTrusted), tolerantPaths);
  app.use(cors(context.corsOrigins), limitRequests(context.requestRate, context.onRefused));
  app.use((_req, res, next) => {
    res.set('Cache-Control', 'no-store');
    next();
  });
  const feed = new TopologyFeed(context);
  app.use(referenceRoutes());
  app.use('/signaling', signalingRoutes(context));
  app.use('/v1', allowApps(context), placementRoutes(context), streamRoutes(context), topologyRoutes(feed));
  app.use(notFoundHandler);
  app.use(problemHandler(context.logger));
  return { app, close: () => feed.close() };
}
