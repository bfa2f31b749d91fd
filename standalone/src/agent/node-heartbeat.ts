import { availableParallelism, arch, hostname, platform, release, totalmem } from 'node:os';
import type { KubeClient, Node } from '@millrace/kube';
import { formatMicroTime, isNotFound, leases, nodes } from '@millrace/kube';
import type { Clock, Logger } from '@millrace/service';
import { agentSocketAnnotation } from '../apiserver/index.ts';
import type { Addresses } from './environment.ts';
import { kubeTime } from './pod.ts';
import { fieldManager } from './status-writer.ts';

const leaseNamespace = 'kube-node-lease';
const leaseSeconds = 40;
const renewMs = 10_000;
const statusMs = 300_000;

export interface NodeIdentity {
  name: string;
  labels: Record<string, string>;
  addresses: Addresses;
  socketPath: string;
}

export function nodeLabels(name: string, extra: Record<string, string>): Record<string, string> {
  return {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': platform(),
    'kubernetes.io/arch': arch() === 'x64' ? 'amd64' : arch(),
    ...extra,
  };
}

/** Keeps the Node object and its heartbeat Lease alive, as a kubelet does. */
export class NodeHeartbeat {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #node: NodeIdentity;
  #timer: ReturnType<Clock['setTimeout']> | undefined;
  #statusAtMs = -Infinity;
  #stopped = false;

  constructor(client: KubeClient, clock: Clock, logger: Logger, node: NodeIdentity) {
    this.#client = client;
    this.#clock = clock;
    this.#logger = logger;
    this.#node = node;
  }

  /** Registers the node; then keeps it alive until stopped. */
  async start(): Promise<void> {
    await this.#register();
    await this.#beat();
  }

  async #register(): Promise<void> {
    const { name, labels, socketPath } = this.#node;
    const object = { metadata: { name, labels, annotations: { [agentSocketAnnotation]: socketPath } } };
    await this.#client.apply(nodes, object, { fieldManager, force: true });
  }

  async #beat(): Promise<void> {
    try {
      await this.#renewLease();
      if (this.#clock.now() - this.#statusAtMs >= statusMs) await this.#writeStatus(true);
    } catch (error) {
      this.#logger.warn({ err: error }, 'node heartbeat failed');
      if (isNotFound(error)) await this.#register().catch(() => undefined);
    }
    if (!this.#stopped) this.#timer = this.#clock.setTimeout(() => void this.#beat(), renewMs);
  }

  async #renewLease(): Promise<void> {
    const { name } = this.#node;
    const spec = { holderIdentity: name, leaseDurationSeconds: leaseSeconds, renewTime: formatMicroTime(this.#clock.wall()) };
    await this.#client.apply(leases, { metadata: { name, namespace: leaseNamespace }, spec }, { fieldManager, force: true });
  }

  async #writeStatus(isReady: boolean): Promise<void> {
    const { name, addresses } = this.#node;
    const now = kubeTime(this.#clock.wall());
    const resources = { cpu: String(availableParallelism()), memory: `${Math.floor(totalmem() / 1024)}Ki`, pods: '110' };
    const ready = isReady
      ? { status: 'True', reason: 'AgentReady', message: 'the pod agent takes pods' }
      : { status: 'False', reason: 'AgentStopped', message: 'the pod agent was stopped' };
    const status = {
      addresses: [
        ...addresses.hostIPs.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: hostname() },
      ],
      capacity: resources,
      allocatable: resources,
      conditions: [{ type: 'Ready', ...ready, lastHeartbeatTime: now, lastTransitionTime: now }],
      nodeInfo: {
        architecture: arch() === 'x64' ? 'amd64' : arch(),
        operatingSystem: platform(),
        kernelVersion: release(),
        kubeletVersion: 'millrace-standalone',
        osImage: platform(),
        bootID: '',
        machineID: '',
        systemUUID: '',
        containerRuntimeVersion: 'process://',
        kubeProxyVersion: '',
      },
    } as unknown as NonNullable<Node['status']>;
    await this.#client.patch(nodes, { name }, { type: 'merge', patch: { status } }, { subresource: 'status', fieldManager });
    this.#statusAtMs = this.#clock.now();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    await this.#writeStatus(false).catch(() => undefined);
  }
}
