import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { MediaEdge, PlacementResponse } from '@millrace/api';
import { mediaEdges, mediaNodes, relayMeshes } from '@millrace/api';
import type { CrdManifest } from '@millrace/api/validation';
import { startConsole } from '@millrace/console';
import { startControl } from '@millrace/control';
import { startOperator } from '@millrace/operator';
import { pods, Informer, createKubeClient, loadKubeconfig } from '@millrace/kube';
import type { KubeClient } from '@millrace/kube';
import type { Logger } from '@millrace/service';
import { createLogger } from '@millrace/service';
import { LogFile, localImages, startPodAgent } from '../agent/index.ts';
import { startApiServer } from '../apiserver/index.ts';
import type { UpConfig } from './config.ts';
import { ensureAppKey } from './app-key.ts';
import { loadCredentials, usersByToken } from './credentials.ts';
import type { User } from './credentials.ts';
import { deletePodsOfOtherControl } from './earlier-pods.ts';
import { applyFirstStart } from './first-start.ts';
import { nodeAddresses, ownAddresses, requireOwnHost } from './machine-addresses.ts';
import { requirePorts } from './ports.ts';
import type { Progress } from './progress.ts';
import { missing } from './readiness.ts';
import { lastWords, type LogTail } from './trouble.ts';
import type { StateDir } from './state-dir.ts';

const NAMESPACE = 'default';
/** Only users of this machine manage the network. */
const API_HOST = '127.0.0.1';
const IMAGE = 'millrace/media-node';
const ROOT = new URL('../../../', import.meta.url);
const MEDIA_NODE_MAIN = fileURLToPath(new URL('media-node/src/main.ts', ROOT));

/** A running network. */
export interface Network {
  readonly consoleUrl: string;
  readonly controlUrl: string;
  readonly edges: readonly MediaEdge[];
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  readonly logger: Logger;
  /** What is not ready yet, as text; undefined when everything is ready. */
  readonly missing: () => string | undefined;
  place(kind: 'push' | 'pull', stream: string): Promise<PlacementResponse>;
  /** Registers a child process so that it ends too when this process dies. Returns a function to call when it has ended. */
  readonly adopt: (pid: number) => () => void;
  stop(): Promise<void>;
}

/** Starts everything in this process, except for the media nodes, which are separate processes. Stops what it started when a part fails. */
export async function startNetwork(config: UpConfig, dir: StateDir, progress: Progress, signal: AbortSignal): Promise<Network> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    const failures: unknown[] = [];
    for (const each of stops.splice(0).reverse()) await each().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'not all of the network could be ended in order');
  };
  try {
    return { ...(await startParts(config, dir, progress, signal, stops)), stop };
  } catch (error) {
    await stop().catch(() => undefined); // why it did not start is what matters
    throw error;
  }
}

async function startParts(
  config: UpConfig,
  dir: StateDir,
  progress: Progress,
  signal: AbortSignal,
  stops: (() => Promise<void>)[],
): Promise<Omit<Network, 'stop'>> {
  const host = requireOwnHost(config.host);
  await requirePorts([
    ...(config.kubeconfig ? [] : [{ name: 'the Kubernetes API', host: API_HOST, port: config.apiPort, flag: '--api-port' }]),
    { name: 'control', host, port: config.controlPort, flag: '--control-port' },
    { name: 'the console', host, port: config.consolePort, flag: '--console-port' },
  ]);
  const logger = openLog(config, dir);
  const kubeconfigFor = await progress.step('Kubernetes API', () => startApi(config, dir, logger, stops));
  const admin = createKubeClient({ kubeconfig: loadKubeconfig({ file: kubeconfigFor('admin') }) });
  stops.push(() => Promise.resolve(admin.close()));
  const appKey = await ensureAppKey(admin, NAMESPACE, signal);

  const control = await progress.step('control', () =>
    startControl({
      kubeconfig: loadKubeconfig({ file: kubeconfigFor('control') }),
      namespace: NAMESPACE,
      host,
      port: config.controlPort,
      logger,
    }),
  );
  stops.push(() => control.stop());
  await progress.step('operator', async () => {
    const operator = await startOperator({
      kubeconfig: loadKubeconfig({ file: kubeconfigFor('operator') }),
      controlUrl: control.agentUrl,
      mediaNodeImage: IMAGE,
      logger,
    });
    stops.push(() => operator.stop());
  });
  const earlier = await deletePodsOfOtherControl(admin, { namespace: NAMESPACE, controlUrl: control.agentUrl, signal });
  if (earlier > 0) progress.say(`  replacing ${earlier} nodes that look for control at another address`);
  const addresses = nodeAddresses(host, await ownAddresses());
  const startedAtMs = Date.now();
  const agent = await progress.step('pod agent', () =>
    startPodAgent({
      kubeconfig: loadKubeconfig({ file: kubeconfigFor('node-agent') }),
      nodeName: 'laptop',
      dataDir: dir.file('pods'),
      addresses,
      ...localImages({ [IMAGE]: [process.execPath, MEDIA_NODE_MAIN] }),
      logger,
    }),
  );
  stops.push(() => agent.stop());
  const manifest = config.manifest
    ? new URL(config.manifest, `file://${process.cwd()}/`)
    : new URL('examples/laptop/network.yaml', ROOT);
  const created = await applyFirstStart(admin, manifest, NAMESPACE, signal);
  progress.say(created > 0 ? `  created ${created} resources` : '  found the resources of before');

  const edges = (await admin.list(mediaEdges, { namespace: NAMESPACE, signal })).items;
  const page = await startConsole({
    host,
    port: config.consolePort,
    controlUrl: control.url,
    appKey,
    logger,
    stream: 'live/demo',
    region: firstRegion(edges),
  });
  stops.push(() => page.close());
  return {
    consoleUrl: page.url,
    kubeconfig: kubeconfigFor('admin'),
    logger,
    controlUrl: control.url,
    edges,
    missing: watchReadiness(admin, dir, logger, startedAtMs, stops),
    adopt: (pid) => agent.adopt(pid),
    place: (kind, stream) => place(control.url, appKey, kind, stream, signal),
  };
}

/** Returns the path of a user's kubeconfig: that of the embedded API, or the given one for all users. */
async function startApi(
  config: UpConfig,
  dir: StateDir,
  logger: Logger,
  stops: (() => Promise<void>)[],
): Promise<(user: User) => string> {
  if (config.kubeconfig) return () => config.kubeconfig;
  const credentials = loadCredentials(dir);
  const api = await startApiServer({
    dataDir: dir.file('api'),
    host: API_HOST,
    port: config.apiPort,
    crds: loadCrds(),
    tokens: usersByToken(credentials),
    logger,
  });
  stops.push(() => api.close());
  return (user) => {
    const path = dir.file(user === 'admin' ? 'kubeconfig' : `${user}.kubeconfig`);
    writeFileSync(path, api.kubeconfig(user), { mode: 0o600 });
    return path;
  };
}

function loadCrds(): CrdManifest[] {
  const folder = new URL('crds/', ROOT);
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return files.map((name) => parse(readFileSync(new URL(name, folder), 'utf8')) as CrdManifest);
}

/** The log file is bounded, like those of nodes. On a full disk log lines are lost, but the network continues. */
function openLog(config: UpConfig, dir: StateDir): Logger {
  const file = new LogFile(dir.file('logs', 'network.log'));
  return createLogger({ service: 'millrace', level: config.logLevel }, { write: (line) => file.write(Buffer.from(line)) });
}

/** The region in which the page watches first: the farthest from where the demo is published, which is the first edge of the laptop's manifest. */
function firstRegion(edges: readonly MediaEdge[]): string {
  const pulling = edges.filter(({ spec }) => spec.roles.includes('pull')).map(({ spec }) => spec.region);
  return pulling.at(-1) ?? edges[0]?.spec.region ?? '';
}

/** Follows meshes, edges and nodes, and reports what is not ready. */
function watchReadiness(
  client: KubeClient,
  dir: StateDir,
  logger: Logger,
  startedAtMs: number,
  stops: (() => Promise<void>)[],
): () => string | undefined {
  const ending = new AbortController();
  const logTail: LogTail = (pod, container) => {
    try {
      return lastWords(readFileSync(dir.file('pods', 'pods', pod.metadata?.uid ?? '', 'logs', `${container}.log`), 'utf8'));
    } catch {
      return []; // it has said nothing yet, or is gone
    }
  };
  const edges = new Informer({ client, resource: mediaEdges, logger });
  const nodes = new Informer({ client, resource: mediaNodes, logger });
  const meshes = new Informer({ client, resource: relayMeshes, logger });
  const allPods = new Informer({ client, resource: pods, logger });
  const running = [edges, nodes, meshes, allPods].map((informer) => informer.run(ending.signal));
  stops.push(async () => {
    ending.abort();
    await Promise.allSettled(running);
  });
  return () => {
    if (![edges, nodes, meshes, allPods].every((informer) => informer.hasSynced)) return 'reading resources';
    const observed = {
      edges: edges.store.list(),
      meshes: meshes.store.list(),
      nodes: nodes.store.list(),
      pods: allPods.store.list(),
      logTail,
    };
    return missing(observed, startedAtMs);
  };
}

async function place(
  controlUrl: string,
  appKey: string,
  kind: 'push' | 'pull',
  stream: string,
  signal: AbortSignal,
): Promise<PlacementResponse> {
  const response = await fetch(new URL(`/v1/${kind}`, controlUrl), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${appKey}` },
    body: JSON.stringify({ stream }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
  });
  const body = (await response.json()) as PlacementResponse & { title?: string; detail?: string };
  if (!response.ok)
    throw new Error(
      `no place to ${kind} ${stream}: ${[body.title ?? `HTTP ${response.status}`, body.detail].filter(Boolean).join(': ')}`,
    );
  return body;
}
