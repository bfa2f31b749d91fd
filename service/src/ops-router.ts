import express, { type Router } from 'express';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import { isNetwork, trusts } from './client-address.ts';
import { Problem } from './problem.ts';

export interface Readiness {
  ok: boolean;
  /** Why the process is not ready (or degraded), for a person. */
  reasons: string[];
}

/** Loopback, link-local, RFC 1918, RFC 6598 and RFC 4193: nobody on the Internet comes from there. */
export const PRIVATE_NETWORKS: readonly string[] = [
  '127.0.0.0/8',
  '169.254.0.0/16',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '::1',
  'fe80::/10',
  'fc00::/7',
];

/** Setting: who may read /metrics. A node with hostNetwork may have its operations port on a public address. */
export const MetricsFrom = z
  .array(z.string().refine(isNetwork, 'must be an address or CIDR, e.g. 10.0.0.0/8'))
  .max(64)
  .default([...PRIVATE_NETWORKS])
  .describe('addresses or CIDRs that may read /metrics; private networks by default');

/**
 * GET /metrics (Prometheus text), /healthz (the process answers), /readyz (it can do its work; 503 with reasons when not).
 * @param options.metricsFrom who may read /metrics: addresses or CIDRs, private networks by default. By the connection, not by forwarding headers.
 */
export function opsRouter(options: {
  registry: Registry;
  ready: () => Readiness;
  metricsFrom?: readonly string[] | undefined;
}): Router {
  const router = express.Router();
  const mayScrape = trusts(options.metricsFrom ?? PRIVATE_NETWORKS);
  router.get('/metrics', async (req, res) => {
    if (!mayScrape(req.socket.remoteAddress ?? '')) {
      const problem = new Problem(403, 'Forbidden', { detail: 'your address is in none of the networks of metricsFrom' });
      return void res.status(403).type('application/problem+json').send(JSON.stringify(problem));
    }
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
