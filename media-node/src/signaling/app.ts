import { cors, identifyClient, limitRequests, notFoundHandler, problemHandler, tolerantPaths } from '@millrace/service';
import express, { type Express } from 'express';
import type { SignalingContext } from './context.ts';
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
  app.use(identifyClient(context.isTrusted), tolerantPaths);
  // Pages of any origin may use the signalling: the token protects it (RFC 9725 section 4.7).
  app.use(cors(['*']), limitRequests(context.requestRate, context.onRefused));
  app.use(whipRoutes(context), whepRoutes(context), shortFormRoutes(context), plainRtpRoutes(context), referenceRoutes());
  app.use(notFoundHandler, problemHandler(context.logger));
  return app;
}
