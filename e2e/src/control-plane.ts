import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PlacementResponse, StreamView } from '@millrace/api';
import { kubeApis } from './kube-apis.ts';
import { kubectlOf, type KubeCluster } from './kube-cluster.ts';
import { delay, eventually, freeNetworkPorts } from '@millrace/testbed/network';
import { startProcess, type SupervisedProcess } from './supervised-process.ts';

const APP_KEY = 'an-app-key-that-only-tests-use';

/** One process of the control plane. */
interface Part {
  readonly start: () => Promise<void>;
  /** SIGKILL. */
  readonly kill: () => Promise<void>;
  /** SIGSTOP: it hangs, its connections stay open. */
  readonly hang: () => void;
  /** SIGCONT. */
  readonly goOn: () => void;
}

/** The API, control, the operator and the pod agent, each in its own process, as in a cluster. */
export interface ControlPlane {
  readonly api: Pick<Part, 'start' | 'kill'>;
  readonly control: Part;
  readonly operator: Part;
  kubectl(...args: string[]): Promise<string>;
  kubectlWithInput(input: string, ...args: string[]): Promise<string>;
  place(kind: 'push' | 'pull', stream: string, region: string): Promise<PlacementResponse>;
  /** Control's description of a stream; undefined when the stream is unknown. Rejects while control is unreachable. */
  stream(name: string): Promise<StreamView | undefined>;
  stop(): Promise<void>;
}

type Api = Pick<KubeCluster, 'kubeconfigPath' | 'kubectl' | 'kubectlWithInput' | 'stop'> & { part: Pick<Part, 'start' | 'kill'> };

/** The APIs on which it can run; each can be killed with SIGKILL. */
export const killableApis: readonly { name: string; isReal: boolean; start: (folder: string) => Promise<Api> }[] = [
  { name: 'a real Kubernetes API', isReal: true, start: startRealApi },
  { name: 'the standalone API', isReal: false, start: startStandaloneApi },
];

async function startRealApi(): Promise<Api> {
  const api = await kubeApis[0]!.start();
  return { ...api, part: { start: () => api.startApiServer(), kill: () => api.killApiServer() } };
}

async function startStandaloneApi(folder: string): Promise<Api> {
  const kubeconfigPath = join(folder, 'kubeconfig');
  const { api: port } = await freeNetworkPorts();
  const argv = [entry('./api-process.ts'), join(folder, 'api'), String(port), kubeconfigPath];
  const program = join(process.env['MILLRACE_KUBERNETES_BIN'] ?? '', 'kubectl');
  const clients = kubectlOf(program, kubeconfigPath, folder);
  const server = processPart(() => startProcess(process.execPath, argv, join(folder, 'api.log')));
  const start = async (): Promise<void> => {
    await server.start();
    await eventually('the API answers', 60_000, async () => {
      if (!existsSync(kubeconfigPath)) return undefined;
      return (await clients.kubectl('get', '--raw', '/readyz')) ? true : undefined;
    });
  };
  await start();
  return { kubeconfigPath, ...clients, part: { start, kill: server.kill }, stop: server.kill };
}

export async function startControlPlane(startApi: (folder: string) => Promise<Api>): Promise<ControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-control-plane-'));
  const { control: port } = await freeNetworkPorts();
  const url = `http://127.0.0.1:${port}`;
  const api = await startApi(folder);
  const kubeconfig = ['--kubeconfig', api.kubeconfigPath, '--namespace', 'default', '--log-level', 'warn'];
  const node = (name: string, main: string, ...args: string[]): Part =>
    processPart(() => startProcess(process.execPath, [entry(main), ...args], join(folder, `${name}.log`)));
  const control = node(
    'control',
    '../../control/src/main.ts',
    ...kubeconfig,
    '--port',
    `${port}`,
    '--host',
    '127.0.0.1',
    '--ops-port',
    '0',
    '--tls=false',
  );
  const agentUrl = ['--control-url', `ws://127.0.0.1:${port}/v1/agent`, '--media-node-image', 'millrace/media-node'];
  const ops = ['--lease-namespace', 'default', '--ops-host', '127.0.0.1', '--ops-port', '0'];
  const operator = node('operator', '../../operator/src/main.ts', ...kubeconfig, ...agentUrl, ...ops);
  const pods = join(folder, 'pods');
  await mkdir(pods);
  const podAgent = node('pod-agent', './pod-agent-process.ts', api.kubeconfigPath, pods);
  const stop = async (): Promise<void> => {
    await podAgent.kill();
    await Promise.all([operator.kill(), control.kill()]);
    await api.stop();
    // The guard process ends the pods' processes.
    await delay(500);
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
  };
  try {
    await api.kubectl('create', 'secret', 'generic', 'millrace-app-keys', `--from-literal=test=${APP_KEY}`);
    await Promise.all([control.start(), operator.start(), podAgent.start()]);
  } catch (error) {
    await stop();
    throw error;
  }
  const call = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(url + path, {
      ...init,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${APP_KEY}` },
      signal: AbortSignal.timeout(5_000),
    });
  return {
    api: api.part,
    control,
    operator,
    kubectl: api.kubectl,
    kubectlWithInput: api.kubectlWithInput,
    place: async (kind, stream, region) => {
      const response = await call(`/v1/${kind}`, { method: 'POST', body: JSON.stringify({ stream, region }) });
      const text = await response.text();
      if (!response.ok) throw new Error(`control answers ${response.status}: ${text}`);
      return JSON.parse(text) as PlacementResponse;
    },
    stream: async (name) => {
      const response = await call(`/v1/streams/${name}`);
      return response.ok ? ((await response.json()) as StreamView) : undefined;
    },
    stop,
  };
}

function processPart(start: () => Promise<SupervisedProcess>): Part {
  let running: SupervisedProcess | undefined;
  const signal = (name: NodeJS.Signals): void => void (running && process.kill(running.pid, name));
  return {
    start: async () => {
      running = await start();
    },
    kill: async () => {
      await running?.kill();
    },
    hang: () => signal('SIGSTOP'),
    goOn: () => signal('SIGCONT'),
  };
}

function entry(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}
