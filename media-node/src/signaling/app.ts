import { identifyClient, limitRequests, notFoundHandler, problemHandler } from '@millrace/service';
import express, { type Express } from 'express';
import type { SignalingContext } from './context.ts';
import { cors } from './cors.ts';
import { plainRtpRoutes } from './plain-rtp.ts';
import { referenceRoutes } from './reference.ts';
import { shortFormRoutes } from './short-form.ts';
import { whepRoutes } from './whep.ts';
import { whipRoutes } from './whip.ts';

/** All HTTP signalling of a media node. */
export function signalingApp(context: SignalingContext): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(identifyClient(context.isTrusted));
  app.use(cors, limitRequests(context.requestRate, context.onRefused));
  app.use(whipRoutes(context), whepRoutes(context), shortFormRoutes(context), plainRtpRoutes(context), referenceRoutes());
  app.use(notFoundHandler, problemHandler(context.logger));
  return app;
}
