import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { MediaNodeSpec } from '@millrace/api';
import { loadKubeconfig, secrets } from '@millrace/kube';
import { startOperator, type OperatorHandle } from '@millrace/operator';
import { createLogger, createMetrics, type HttpService, type Registry } from '@millrace/service';
import { startConsole } from '@millrace/console';
import { APP_KEY, NAMESPACE, ControlNetwork } from '@millrace/testbed';
import type { Control } from '@millrace/control';
import { startRealNode } from '@millrace/testbed';
import type { MediaNode } from '@millrace/media-node';

export { APP_KEY, NAMESPACE };

export interface RunningNode {
  readonly name: string;
  readonly podUid: string;
  readonly node: MediaNode;
  /** Base URL of its signalling. */
  readonly url: string;
  readonly opsUrl: string;
  readonly registry: Registry;
}

/** One of each kind of server that Millrace has, in this process on the standalone API: control, operator, console, media nodes. */
export class Servers {
  readonly network: ControlNetwork;
  readonly control: Control;
  readonly operator: OperatorHandle;
  readonly console: HttpService;
  readonly trunkKey: string;
  readonly registries: { control: Registry; operator: Registry };
  readonly nodes: RunningNode[] = [];

  private constructor(parts: Omit<Servers, 'nodes' | 'addNode' | 'stop'>) {
    this.network = parts.network;
    this.control = parts.control;
    this.operator = parts.operator;
    this.console = parts.console;
    this.trunkKey = parts.trunkKey;
    this.registries = parts.registries;
  }

  static async start(): Promise<Servers> {
    const network = await ControlNetwork.start();
    const trunkKey = randomBytes(32).toString('base64');
    await network.client.create(secrets, { metadata: { namespace: NAMESPACE, name: 'mesh-trunk-key' }, data: { psk: trunkKey } });
    await network.mesh('mesh');
    const registries = { control: createMetrics({ service: 'control' }), operator: createMetrics({ service: 'operator' }) };
    const control = await network.control({ registry: registries.control, opsPort: 0 });
    const logger = createLogger({ service: 'test', level: process.env['MILLRACE_TEST_LOG'] ?? 'silent' });
    const operator = await startOperator({
      kubeconfig: loadKubeconfig({ file: join(network.folder, 'kubeconfig') }),
      namespace: NAMESPACE,
      leaseNamespace: NAMESPACE,
      controlUrl: control.agentUrl,
      registry: registries.operator,
      logger,
    });
    const page = await startConsole({
      host: '127.0.0.1',
      port: 0,
      controlUrl: control.url,
      appKey: APP_KEY,
      logger,
      stream: 'live/demo',
      region: 'north',
    });
    return new Servers({ network, control, operator, console: page, trunkKey, registries });
  }

  /** A media node in this process; resolves when it is ready. */
  async addNode(name: string, spec: Partial<MediaNodeSpec> = {}, settings: Record<string, string> = {}): Promise<RunningNode> {
    const registry = createMetrics({ service: 'media-node' });
    const inMesh = { edge: 'edge', mesh: 'mesh', ...spec };
    const { node, podUid } = await startRealNode(this.network, this.control, name, inMesh, { settings, registry });
    const { signalingUrl: url, opsUrl } = node.endpoints;
    const running = { name, podUid, node, url, opsUrl, registry };
    this.nodes.push(running);
    await eventually(`${name} is ready`, () => node.readiness().ok || undefined);
    return running;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ node }) => node.close()));
    await this.console.close();
    await this.operator.stop();
    await this.network.stop();
  }
}

/** Polls until there is a value. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  withinMs = 20_000,
): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
