import type { KubeConfig } from '@kubernetes/client-node';
import { createMetrics, notFoundHandler, opsRouter, realClock, serveHttp, type Logger, type Registry } from '@millrace/service';
import express from 'express';
import { contextNamespace, createKubeClient, createKubeMetrics } from '@millrace/kube';
import { controlTrust, trustConfigMap } from './control-tls/index.ts';
import { EdgeMetrics } from './mediaedge/index.ts';
import { Operator } from './operator.ts';

export interface StartOptions {
  kubeconfig: KubeConfig;
  /** Watches only this namespace; default all. */
  namespace?: string | undefined;
  /** Where the Leases of the operator and of control's replicas live; default the kubeconfig's namespace, else "default". */
  leaseNamespace?: string | undefined;
  /** ws(s)://host/v1/agent, where media nodes find control. */
  controlUrl: string;
  /** Who keeps control's certificate where the URL is wss://; default managed, by the operator. */
  controlCertificate?: 'managed' | 'own' | undefined;
  /** ConfigMap whose ca.crt signs control's own certificate. */
  controlCa?: string | undefined;
  /** Image of media nodes whose MediaEdge names none. */
  mediaNodeImage?: string | undefined;
  /** Drains nodes of cordoned hosts; default true. */
  watchHosts?: boolean;
  /** Address of /metrics, /healthz and /readyz; default 127.0.0.1 and a free port. */
  ops?: { host: string; port: number };
  /** Addresses or CIDRs that may read /metrics; default private networks. */
  metricsFrom?: readonly string[];
  /** Sustained requests per second to the API, and their burst. */
  qps?: number;
  burst?: number;
  logger: Logger;
  /** Shares the registry of a process; by default the operator has its own. */
  registry?: Registry;
}

export interface OperatorHandle {
  /** Base URL of /metrics, /healthz and /readyz. */
  opsUrl: string;
  isLeading(): boolean;
  /** Settles when the operator has stopped by itself, which only an internal failure causes; rejects with that error. */
  finished: Promise<void>;
  /** Stops gracefully: finishes or aborts work in progress within 10 s, then releases the Lease. */
  stop(): Promise<void>;
}

/** Starts one replica of the operator in this process. One of the replicas leads. */
export async function startOperator(options: StartOptions): Promise<OperatorHandle> {
  const { kubeconfig, logger } = options;
  const registry = options.registry ?? createMetrics({ service: 'operator' });
  const metrics = createKubeMetrics(registry);
  const client = createKubeClient({
    kubeconfig,
    clock: realClock,
    metrics,
    ...(options.qps ? { qps: options.qps } : {}),
    ...(options.burst ? { burst: options.burst } : {}),
  });
  const trust = controlTrust(options);
  const operator = new Operator({
    client,
    namespace: options.namespace,
    leaseNamespace: options.leaseNamespace ?? contextNamespace(kubeconfig) ?? 'default',
    pods: { controlUrl: options.controlUrl, controlCa: trustConfigMap(trust), defaultImage: options.mediaNodeImage },
    trust,
    watchHosts: options.watchHosts ?? true,
    clock: realClock,
    random: Math.random,
    logger,
    metrics,
    edgeMetrics: new EdgeMetrics(registry),
  });
  const app = express()
    .disable('x-powered-by')
    .use(opsRouter({ registry, ready: () => operator.readiness(), metricsFrom: options.metricsFrom }))
    .use(notFoundHandler);
  const ops = await serveHttp(app, options.ops ?? { host: '127.0.0.1', port: 0 });
  const stopping = new AbortController();
  const finished = operator.run(stopping.signal);
  finished.catch((err: unknown) => {
    logger.error({ err }, 'operator failed');
  });
  return {
    opsUrl: ops.url,
    isLeading: () => operator.isLeading,
    finished,
    stop: async () => {
      stopping.abort();
      await finished.catch(() => undefined); // logged above
      await ops.close();
      client.close();
    },
  };
}
