import http from 'node:http';
import https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '@millrace/service';

/** The current address, credentials and agent for requests to the API. */
export interface Connection {
  baseUrl: URL;
  /** Authorization and impersonation headers. */
  headers: Record<string, string>;
  agent: http.Agent;
}

/** How often certificates and tokens are read from disk again: the kubelet rotates both while the process runs. */
const REREAD_MS = 10_000;
/** client-go's interval; shorter than the idle timeouts of cloud load balancers. */
const TCP_KEEP_ALIVE_MS = 30_000;
const IDLE_SOCKET_MS = 30_000;
const MAX_IDLE_SOCKETS = 16;

interface TlsMaterial {
  ca?: unknown;
  cert?: unknown;
  key?: unknown;
  servername?: string;
  rejectUnauthorized?: boolean;
}

/**
 * Credentials and the only keep-alive agent of a cluster. client-node 2.0 creates a new undici Agent for every request and every watch
 * (config.js applySecurityAuthentication; kubernetes-client/javascript#2893 cached only the WebSocket path). Here the agent is replaced
 * only when the certificates change, and the idle sockets of the old one are closed.
 */
export class ClusterConnection {
  readonly #kubeconfig: KubeConfig;
  readonly #clock: Clock;
  readonly #baseUrl: URL;
  #current: Promise<Connection> | undefined;
  #readAt = 0;
  #agent: http.Agent | undefined;
  #agentTls = '';

  constructor(kubeconfig: KubeConfig, clock: Clock) {
    this.#kubeconfig = usable(kubeconfig);
    this.#clock = clock;
    this.#baseUrl = new URL(this.#kubeconfig.getCurrentCluster()?.server ?? '');
  }

  current(): Promise<Connection> {
    if (this.#current && this.#clock.now() - this.#readAt < REREAD_MS) return this.#current;
    this.#readAt = this.#clock.now();
    const reading = this.#read();
    this.#current = reading;
    reading.catch(() => {
      if (this.#current === reading) this.#current = undefined;
    });
    return reading;
  }

  /** The API server rejected the credentials: the next request reads them again. */
  invalidate(): void {
    this.#current = undefined;
  }

  close(): void {
    this.#current = undefined;
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  async #read(): Promise<Connection> {
    // client-node reads files, runs credential plugins and builds proxy agents. Its plain agent is not used and opens no socket.
    const options: https.RequestOptions = {};
    await this.#kubeconfig.applyToHTTPSOptions(options);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name] = String(value).trim();
    if (options.auth) headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    return { baseUrl: this.#baseUrl, headers, agent: this.#agentFor(options) };
  }

  #agentFor(options: https.RequestOptions): http.Agent {
    if (this.#kubeconfig.getCurrentCluster()?.proxyUrl && options.agent) return options.agent as http.Agent;
    const { ca, cert, key, servername, rejectUnauthorized } = options;
    const tls: TlsMaterial = { ca, cert, key, servername, rejectUnauthorized };
    const fingerprint = JSON.stringify(tls, (_name, value: unknown) =>
      Buffer.isBuffer(value) ? value.toString('base64') : value,
    );
    if (this.#agent && fingerprint === this.#agentTls) return this.#agent;
    const old = this.#agent;
    this.#agentTls = fingerprint;
    this.#agent = this.#baseUrl.protocol === 'https:' ? new https.Agent({ ...AGENT, ...defined(tls) }) : new http.Agent(AGENT);
    if (old) closeIdleSockets(old);
    return this.#agent;
  }
}

const AGENT: http.AgentOptions = {
  keepAlive: true,
  keepAliveMsecs: TCP_KEEP_ALIVE_MS,
  maxFreeSockets: MAX_IDLE_SOCKETS,
  timeout: IDLE_SOCKET_MS,
};

/** Leaves the sockets of requests in flight (watches) open until those requests end. */
function closeIdleSockets(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

function defined(tls: TlsMaterial): https.AgentOptions {
  return Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
}

/**
 * Returns a copy of the kubeconfig with which client-node behaves like kubectl. As given, client-node refuses plain http and ignores the
 * cluster's CA when the context has no user. Plain http is accepted to this machine only, unless insecure-skip-tls-verify is set.
 */
function usable(given: KubeConfig): KubeConfig {
  const cluster = given.getCurrentCluster();
  if (!cluster) throw new Error('kubeconfig: the current context names no cluster');
  const plain = cluster.server.startsWith('http:');
  if (plain && !cluster.skipTLSVerify && !isLoopback(new URL(cluster.server).hostname)) {
    throw new Error(
      `kubeconfig: ${cluster.server} is plain http to another machine; use https, or set insecure-skip-tls-verify: true in the cluster entry`,
    );
  }
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromClusterAndUser(
    { ...cluster, skipTLSVerify: plain || cluster.skipTLSVerify },
    given.getCurrentUser() ?? { name: 'anonymous' },
  );
  return kubeconfig;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
