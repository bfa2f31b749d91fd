import type { IceServer } from '@millrace/api';
import type { createKubeClient } from '@millrace/kube';
import type { Clock, Logger, Registry } from '@millrace/service';
import type { StreamDirectory } from './directory/index.ts';
import type { ClientRegion } from './scheduler/index.ts';

/** Where control's certificate comes from: a folder with tls.crt and tls.key, or a Secret of type kubernetes.io/tls in its namespace. */
export type ControlTls = { readonly folder: string } | { readonly secret: string };

export interface ControlOptions {
  kubeconfig: Parameters<typeof createKubeClient>[0]['kubeconfig'];
  /** Default: that of the kubeconfig's context, else `default`. */
  namespace?: string | undefined;
  host?: string;
  /** 0 picks a free port. */
  port: number;
  /** Serves the API and the agents' channel by TLS, with a certificate that may change meanwhile; absent: plain. */
  tls?: ControlTls | undefined;
  /** A separate port for /metrics, /healthz and /readyz; absent: the port of the API. */
  opsPort?: number | undefined;
  /** Shared by all replicas; absent: an in-memory one, for a single replica. It is closed at stop. */
  directory?: StreamDirectory;
  /** Unique among the running replicas; the Lease is called `millrace-control-<replica>`. */
  replica?: string | undefined;
  regionsByCidr?: Readonly<Record<string, ClientRegion>>;
  defaultRegion?: string | undefined;
  publicReads?: boolean;
  corsOrigins?: readonly string[];
  iceServers?: readonly IceServer[];
  tokenTtlSeconds?: number;
  /** Addresses or CIDRs of proxies whose X-Forwarded-For and Forwarded are trusted. */
  trustedProxies?: readonly string[];
  /** From one client address; default 1000 requests a second, 2000 connections. */
  requestsPerSecondPerAddress?: number;
  connectionsPerAddress?: number;
  /** Addresses or CIDRs that may read /metrics; default private networks. */
  metricsFrom?: readonly string[];
  heartbeatMs?: number;
  /** How long after the start an unknown stream may still be announced; default 5 s for the in-memory directory, none for a given one. */
  settleMs?: number;
  logger?: Logger;
  registry?: Registry;
  clock?: Clock;
  random?: () => number;
}
