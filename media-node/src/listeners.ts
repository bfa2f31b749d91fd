import {
  AddressRate,
  CertificateFiles,
  certificateMetrics,
  countHttpRefusals,
  notFoundHandler,
  OPS_LIMITS,
  opsRouter,
  serveHttp,
  ServingCertificate,
  trusts,
  type HttpService,
  type Readiness,
  type Registry,
} from '@millrace/service';
import express from 'express';
import type { NodePlace } from './addresses/index.ts';
import type { MediaNodeConfig } from './config.ts';
import { signalingApp, type SignalingContext } from './signaling/index.ts';

const SESSION_TIMEOUTS = { connectMs: 30_000, interruptedMs: 15_000 };

/** What the node itself hands to signalling; the rest follows from its settings. */
export type SignalingParts = Pick<
  SignalingContext,
  'hub' | 'relay' | 'sessions' | 'access' | 'policies' | 'directory' | 'logger' | 'clock'
>;

/** WHIP, WHEP, plain RTP and the short forms. @throws CannotListen */
export async function serveSignaling(
  config: MediaNodeConfig,
  { addresses, binds, listen }: NodePlace,
  registry: Registry,
  parts: SignalingParts,
): Promise<HttpService> {
  const isTrusted = trusts(config.trustedProxies);
  const onRefused = countHttpRefusals(registry, 'signaling');
  const rate = (perSecond: number): AddressRate => new AddressRate({ perSecond, burst: 2 * perSecond, clock: parts.clock });
  const app = signalingApp({
    ...parts,
    node: config.nodeName,
    roles: config.roles,
    region: config.region,
    iceServers: config.iceServers,
    addresses,
    binds,
    rtpPorts: { min: config.rtpPortMin, max: config.rtpPortMax },
    sessionRate: rate(config.sessionsPerSecondPerAddress),
    requestRate: rate(config.requestsPerSecondPerAddress),
    isTrusted,
    onRefused,
    timeouts: SESSION_TIMEOUTS,
  });
  const metrics = certificateMetrics(registry, 'signaling');
  const { tlsDir: folder } = config;
  const certificate = folder === undefined ? undefined : new ServingCertificate({ ...parts, metrics });
  const files =
    certificate && folder !== undefined ? await CertificateFiles.follow({ ...parts, folder, certificate }) : undefined;
  const service = await serveHttp(app, {
    host: listen,
    port: config.signalingPort,
    setting: 'signalingPort (MILLRACE_SIGNALING_PORT)',
    limits: { connectionsPerAddress: config.connectionsPerAddress },
    isTrusted,
    onRefused,
    certificate,
  });
  return {
    ...service,
    close: (graceMs) => {
      files?.stop();
      certificate?.stop();
      return service.close(graceMs);
    },
  };
}

/** Metrics and health. @throws CannotListen */
export function serveOps(
  { opsPort: port, metricsFrom }: MediaNodeConfig,
  { listen }: NodePlace,
  registry: Registry,
  ready: () => Readiness,
): Promise<HttpService> {
  const app = express();
  app.disable('x-powered-by');
  app.use(opsRouter({ registry, ready, metricsFrom }), notFoundHandler);
  return serveHttp(app, {
    host: listen,
    port,
    setting: 'opsPort (MILLRACE_OPS_PORT)',
    limits: OPS_LIMITS,
    onRefused: countHttpRefusals(registry, 'ops'),
  });
}
