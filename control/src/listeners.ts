import type { Server } from 'node:http';
import {
  AddressRate,
  countHttpRefusals,
  notFoundHandler,
  OPS_LIMITS,
  opsRouter,
  serveHttp,
  trusts,
  type HttpService,
  type Readiness,
  type Registry,
} from '@millrace/service';
import express from 'express';
import { controlApp } from './http/index.ts';
import type { FollowedCertificate } from './certificate.ts';
import type { ControlOptions } from './options.ts';
import type { Parts, ReplicaContext } from './parts.ts';
import { TOKEN_KEY_SECRET } from './secrets.ts';

export interface Listeners {
  url: string;
  opsUrl: string;
  /** The server whose upgrades the gateway handles. */
  server: Server;
  /** Ends the event streams. Call it before `close`. */
  endStreams(): void;
  close(graceMs: number): Promise<unknown>;
}

/** The HTTP API, and metrics and health on a port of their own where one is given. */
export async function startListeners(
  options: ControlOptions,
  parts: Parts,
  { metrics, clock, logger, registry }: ReplicaContext & { registry: Registry },
  tls: FollowedCertificate | undefined,
): Promise<Listeners> {
  const { host = '127.0.0.1', requestsPerSecondPerAddress = 1000, connectionsPerAddress = 2000 } = options;
  const isTrusted = trusts(options.trustedProxies ?? []);
  const onRefused = countHttpRefusals(registry, 'control');
  const api = controlApp({
    fleet: parts.fleet,
    streams: parts.streams,
    placer: parts.placer,
    signingKeys: parts.signingKeys,
    appKeys: parts.appKeys,
    metrics,
    publicReads: options.publicReads ?? false,
    corsOrigins: options.corsOrigins ?? ['*'],
    iceServers: options.iceServers ?? [],
    tokenTtlSeconds: options.tokenTtlSeconds ?? 3600,
    requestRate: new AddressRate({ perSecond: requestsPerSecondPerAddress, burst: 2 * requestsPerSecondPerAddress, clock }),
    isTrusted,
    onRefused,
    clock,
    logger,
  });
  const ops = opsRouter({ registry, ready: () => readiness(parts, tls), metricsFrom: options.metricsFrom });
  const app = options.opsPort === undefined ? express().disable('x-powered-by').use(ops).use(api.app) : api.app;
  const http = await serveHttp(app, {
    host,
    port: options.port,
    certificate: tls?.certificate,
    setting: 'port (MILLRACE_PORT)',
    limits: { connectionsPerAddress },
    isTrusted,
    onRefused,
  });
  const opsHttp = options.opsPort === undefined ? http : await startOps(host, options.opsPort, ops, registry, http);
  return {
    url: http.url,
    opsUrl: opsHttp.url,
    server: http.server,
    endStreams: api.close,
    close: (graceMs) => Promise.all([http.close(graceMs), opsHttp.close(graceMs)]),
  };
}

async function startOps(
  host: string,
  port: number,
  ops: express.Router,
  registry: Registry,
  http: HttpService,
): Promise<HttpService> {
  const app = express().disable('x-powered-by').use(ops).use(notFoundHandler);
  const onRefused = countHttpRefusals(registry, 'ops');
  try {
    return await serveHttp(app, { host, port, setting: 'opsPort (MILLRACE_OPS_PORT)', limits: OPS_LIMITS, onRefused });
  } catch (error) {
    await http.close();
    throw error;
  }
}

function readiness({ cluster, signingKeys }: Parts, tls: FollowedCertificate | undefined): Readiness {
  const reasons: string[] = [];
  if (!cluster.hasSynced) reasons.push('the cluster has not been read yet');
  if (!signingKeys.ready) reasons.push(`Secret ${TOKEN_KEY_SECRET} has not been read yet`);
  const missing = tls?.missing();
  if (missing !== undefined) reasons.push(missing);
  return { ok: reasons.length === 0, reasons };
}
