import { randomBytes } from 'node:crypto';
import { contextNamespace, createKubeClient } from '@millrace/kube';
import { createLogger, createMetrics, realClock, type Clock, type Timer } from '@millrace/service';
import { followCertificate } from './certificate.ts';
import { startListeners } from './listeners.ts';
import { controlMetrics } from './metrics.ts';
import type { ControlOptions } from './options.ts';
import { createParts, type Parts } from './parts.ts';
import { followSecrets } from './secrets.ts';

export { APP_KEYS_SECRET, TOKEN_KEY_SECRET } from './secrets.ts';
export type { ControlOptions, ControlTls } from './options.ts';

export interface Control {
  /** Base URL of the HTTP API; agents dial `agentUrl`. */
  url: string;
  agentUrl: string;
  opsUrl: string;
  replica: string;
  /** Closes the agents' connections so that they move to another replica, and stops within about `graceMs` (default 3 s). */
  stop(graceMs?: number): Promise<void>;
}

const RENEWAL_INTERVAL_MS = 3_600_000;

/** Runs `act` each hour. @returns a function that ends it */
function everyHour(clock: Clock, act: () => void): () => void {
  let timer: Timer;
  const schedule = (): void => {
    timer = clock.setTimeout(() => {
      act();
      schedule();
    }, RENEWAL_INTERVAL_MS);
    timer.unref();
  };
  schedule();
  return () => clock.clearTimeout(timer);
}

/**
 * Starts one replica of control; resolves when it listens. It becomes ready once it has read the cluster, and keeps working on its last known
 * state while the API is unreachable.
 */
export async function startControl(options: ControlOptions): Promise<Control> {
  const { clock = realClock, random = Math.random } = options;
  const replica = options.replica ?? randomBytes(4).toString('hex');
  const logger = (options.logger ?? createLogger({ service: 'control' })).child({ replica });
  const registry = options.registry ?? createMetrics({ service: 'control' });
  const metrics = controlMetrics(registry, { compiled: () => parts.programmer.compiled });
  const namespace = options.namespace ?? contextNamespace(options.kubeconfig) ?? 'default';
  const client = createKubeClient({ kubeconfig: options.kubeconfig, clock });
  const context = { client, namespace, replica, metrics, clock, random, logger };
  const parts: Parts = createParts(options, context);
  const { cluster, directory, follower, gateway, lease, prewarm, programmer, settling, signingKeys, appKeys, status } = parts;

  const certificate = await followCertificate({ tls: options.tls, client, namespace, registry, clock, logger });
  const listeners = await startListeners(options, parts, { ...context, registry }, certificate);
  gateway.attach(listeners.server);
  const onSigningKeys = (): void => {
    programmer.tokenKeysChanged();
    gateway.renewGrants();
  };
  const stopSecrets = followSecrets({ client, namespace, signingKeys, appKeys, onSigningKeys, clock, logger });
  const stopRenewal = everyHour(clock, () => gateway.renewGrants());
  cluster.start();
  lease.start();
  status.start();
  prewarm.start();
  await follower.readAll();
  cluster.whenSynced().then(
    () => settling.check(),
    () => {},
  );
  logger.info({ url: listeners.url, namespace }, 'control listens');

  const stop = async (graceMs: number): Promise<void> => {
    const secretsStopped = stopSecrets();
    follower.stop();
    stopRenewal();
    prewarm.stop();
    await gateway.stop(graceMs);
    status.stop();
    programmer.stop();
    listeners.endStreams();
    await Promise.all([listeners.close(500), lease.stop(), cluster.stop(), secretsStopped, certificate?.stop()]);
    await directory.close();
    client.close();
  };
  let stopped: Promise<void> | undefined;
  return {
    url: listeners.url,
    agentUrl: `${listeners.url.replace(/^http/, 'ws')}/v1/agent`,
    opsUrl: listeners.opsUrl,
    replica,
    stop: (graceMs = 3000) => (stopped ??= stop(graceMs)),
  };
}
