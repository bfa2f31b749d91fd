import express, { type Router } from 'express';
import type { Registry } from 'prom-client';

export interface Readiness {
  ok: boolean;
  /** Why not (or what is degraded), for a person. */
  reasons: string[];
}

/** GET /metrics (Prometheus text), /healthz (the process answers), /readyz (it can do its work; 503 with reasons when not). */
export function opsRouter(options: { registry: Registry; ready: () => Readiness }): Router {
  const router = express.Router();
  router.get('/metrics', async (_req, res) => {
    res.set('content-type', options.registry.contentType).send(await options.registry.metrics());
  });
  router.get('/healthz', (_req, res) => {
    res.type('text/plain').send('ok\n');
  });
  router.get('/readyz', (_req, res) => {
    const readiness = options.ready();
    res.status(readiness.ok ? 200 : 503).json(readiness);
  });
  return router;
}
