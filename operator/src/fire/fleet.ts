import type { MediaEdge, MediaNode } from '@millrace/api';
import type { FakeClock } from '@millrace/service';
import type { Lease, Pod } from '../kube/index.ts';
import { rfc3339, type StoreEvent } from '../kube/testing/object-store.ts';
import type { MemoryApi, Stored } from '../kube/testing/memory-api.ts';
import type { Chance } from './chance.ts';
import { EDGES, HOSTS, LEASES, MEDIA_NODES, PODS } from './paths.ts';

/** A media node as it truly is, whatever the API says about it. */
export interface TrueNode {
  readonly uid: string;
  readonly name: string;
  readonly edge: string;
  sessions: number;
  /** It acknowledged that it takes nothing new. */
  cordoned: boolean;
  /** Its agent reached control. */
  connected: boolean;
  /** What its status says that it runs. */
  acknowledged: number;
  drainSince: string | undefined;
  drainAcknowledgedMs: number | undefined;
  reportAtMs: number;
}

const CONTROL_LEASE_S = 60;
const REPORT_MS = 10_000;

/**
 * Everything that happens to pods outside of the operator: hosts with kubelets, media nodes with sessions, and control, which writes what
 * nodes report. It looks at the store directly, as those have faults of their own that are not under test here.
 */
export class Fleet {
  readonly nodes = new Map<string, TrueNode>();
  readonly #api: MemoryApi;
  readonly #clock: FakeClock;
  readonly #chance: Chance;
  /** Replica of control that holds all agents; undefined while control is away. */
  #replica: string | undefined;
  #replicas = 0;
  #linkRtts = new Map<string, number>();

  constructor(api: MemoryApi, clock: FakeClock, chance: Chance) {
    this.#api = api;
    this.#clock = clock;
    this.#chance = chance;
    for (const host of ['host-1', 'host-2']) api.put(`${HOSTS}/${host}`, { kind: 'Node', apiVersion: 'v1', spec: {} });
    api.store.subscribe((event) => {
      if (event.where.collection === PODS) this.#onPod(event);
      if (event.where.collection === MEDIA_NODES) this.#onMediaNode(event);
    });
    this.controlStarts();
    this.#every(20_000, () => this.#renew());
    this.#every(REPORT_MS, () => this.#reportDraining());
    this.#every(50_000, () => api.bookmark());
  }

  /** Alive nodes that a viewer could be sent to. */
  get open(): TrueNode[] {
    return [...this.nodes.values()].filter(({ connected, cordoned }) => connected && !cordoned);
  }

  join(node: TrueNode, sessions: number): void {
    node.sessions += sessions;
    this.#later(100, 1_000, () => this.#report(node));
  }

  leave(node: TrueNode, sessions: number): void {
    node.sessions = Math.max(0, node.sessions - sessions);
    this.#later(100, 1_000, () => this.#report(node));
  }

  /** The container ended; what it carried is gone with it. */
  podFails(name: string): void {
    const pod = this.#pod(name);
    if (!pod) return;
    this.nodes.delete(pod.metadata?.uid ?? '');
    this.#setPod(name, pod, { phase: 'Failed', reason: 'Evicted' });
  }

  /** The process is busy or stuck for a while: not ready, and its agent is gone. */
  stumbles(name: string, ms: number): void {
    const pod = this.#pod(name);
    const node = this.nodes.get(pod?.metadata?.uid ?? '');
    if (!pod || !node) return;
    this.#setPod(name, pod, this.#running(false));
    node.connected = false;
    this.#report(node);
    this.#later(ms, ms, () => {
      const now = this.#pod(name);
      if (!now || !this.nodes.has(node.uid) || now.metadata?.uid !== node.uid) return;
      this.#setPod(name, now, this.#running(true));
      node.connected = true;
      this.#report(node);
    });
  }

  controlGoes(): void {
    this.#replica = undefined;
  }

  controlStarts(): void {
    if (this.#replica) return;
    this.#replica = `c${this.#replicas++}`;
    this.#renew();
    for (const node of this.nodes.values()) this.#report(node);
  }

  /** The API came back with an older state: kubelets and control tell it what they know. */
  reconcileAfterRestore(): void {
    for (const node of [...this.nodes.values()]) {
      const pod = this.#pod(node.name);
      if (pod?.metadata?.uid !== node.uid) this.nodes.delete(node.uid); // kubelet ends what the API does not know
    }
    for (const [path, stored] of this.#api.store.list(PODS)) {
      const pod = stored as Pod;
      const node = this.nodes.get(stored.metadata.uid);
      if (pod.metadata?.deletionTimestamp) this.#end(stored.metadata.name, stored.metadata.uid);
      else if (!node) this.#start(stored);
      else this.#setPod(path.slice(PODS.length + 1), pod, this.#running(true));
    }
    this.#renew();
    for (const node of this.nodes.values()) {
      node.acknowledged = 0;
      const stored = this.#mediaNode(node);
      if (stored) this.#acknowledge(node, stored);
    }
  }

  setRtt(key: string, rttMs: number): void {
    this.#linkRtts.set(key, rttMs);
    for (const node of this.nodes.values()) this.#later(100, 1_000, () => this.#report(node));
  }

  #onPod({ type, object }: StoreEvent): void {
    const { uid, name } = object.metadata;
    if (type === 'ADDED') this.#start(object);
    else if (type === 'DELETED') this.nodes.delete(uid);
    else if (object.metadata.deletionTimestamp) this.#end(name, uid);
  }

  #start({ metadata: { name, uid, labels } }: Stored): void {
    const mine = (): Pod | undefined => {
      const pod = this.#pod(name);
      return pod?.metadata?.uid === uid && !pod.metadata.deletionTimestamp && pod.status?.phase !== 'Failed' ? pod : undefined;
    };
    this.#later(50, 500, () => {
      const pod = mine();
      if (!pod) return;
      const host = this.#chance.pick(['host-1', 'host-2']);
      const bound = { ...pod, spec: { ...pod.spec, nodeName: host }, status: this.#running(false) };
      this.#api.put(`${PODS}/${name}`, bound);
    });
    this.#later(600, 3_000, () => {
      const pod = mine();
      if (!pod) return;
      const edge = labels?.['millrace.dev/edge'] ?? '';
      const node: TrueNode = {
        uid,
        name,
        edge,
        sessions: 0,
        cordoned: false,
        connected: false,
        acknowledged: 0,
        drainSince: undefined,
        drainAcknowledgedMs: undefined,
        reportAtMs: 0,
      };
      this.nodes.set(uid, node);
      this.#setPod(name, pod, this.#running(true));
      this.#later(100, 2_000, () => {
        if (!this.nodes.has(uid)) return;
        node.connected = true;
        const stored = this.#mediaNode(node);
        if (stored) this.#acknowledge(node, stored);
      });
    });
  }

  /** A pod that was asked to go hands its sessions over and ends. */
  #end(name: string, uid: string): void {
    this.#later(200, 5_000, () => {
      this.nodes.delete(uid);
      if (this.#pod(name)?.metadata?.uid === uid) this.#api.store.remove(`${PODS}/${name}`);
    });
  }

  #onMediaNode({ type, object }: StoreEvent): void {
    if (type === 'DELETED') return;
    const stored = object as unknown as MediaNode;
    const node = this.nodes.get(stored.spec.pod.uid);
    if (!node?.connected || (stored.metadata.generation ?? 0) <= node.acknowledged) return;
    this.#later(50, 1_500, () => {
      const now = this.#mediaNode(node);
      if (now && this.nodes.has(node.uid)) this.#acknowledge(node, now);
    });
  }

  /** The node runs what its spec says, and control writes so. */
  #acknowledge(node: TrueNode, { metadata, spec }: MediaNode): void {
    const generation = metadata.generation ?? 0;
    const began = spec.drain !== undefined && node.drainSince === undefined;
    node.acknowledged = generation;
    node.cordoned = spec.cordoned;
    node.drainSince = spec.drain?.since;
    node.drainAcknowledgedMs = spec.drain ? (node.drainAcknowledgedMs ?? this.#clock.wall()) : undefined;
    this.#report(node);
    if (began) this.#empty(node, spec.drain?.policy === 'Wait' ? 40_000 : 12_000);
  }

  /** Its sessions go one after the other, while it drains. */
  #empty(node: TrueNode, withinMs: number): void {
    this.#later(500, withinMs / 2, () => {
      if (!this.nodes.has(node.uid) || !node.cordoned) return;
      if (node.sessions > 0) {
        const left = this.#chance.whole(0, node.sessions - 1);
        const elsewhere = this.open.find(({ edge }) => edge === node.edge);
        if (elsewhere) this.join(elsewhere, node.sessions - left);
        this.leave(node, node.sessions - left);
      }
      if (node.sessions > 0) this.#empty(node, withinMs);
    });
  }

  #reportDraining(): void {
    for (const node of this.nodes.values()) {
      const isDue = this.#clock.now() - node.reportAtMs > 250_000 || node.drainSince !== undefined;
      if (isDue) this.#report(node);
    }
  }

  /** Control writes the status of a node that it holds. */
  #report(node: TrueNode): void {
    const path = `${MEDIA_NODES}/${node.name}`;
    const stored = this.#mediaNode(node);
    if (!stored || !this.#replica || !this.nodes.has(node.uid)) return;
    node.reportAtMs = this.#clock.now();
    const now = rfc3339(this.#clock.wall());
    const before = stored.status?.conditions?.find(({ type }) => type === 'AgentConnected');
    const connected = node.connected ? 'True' : 'False';
    const since = before?.status === connected ? before.lastTransitionTime : now;
    const acknowledged = node.acknowledged === stored.metadata.generation;
    const condition = (type: string, status: string, at: string) => ({
      type,
      status,
      reason: 'Seen',
      message: '',
      lastTransitionTime: at,
    });
    const draining = node.drainAcknowledgedMs;
    const status = {
      agent: { replica: this.#replica, bootId: node.uid, since, lastReportAt: now },
      endpoints: { signalingUrl: `http://${node.name}:8080`, host: node.name, trunkPort: 1 },
      load: {
        cpuPercent: 5,
        egressMbps: node.sessions,
        ingressMbps: 1,
        sessions: node.sessions,
        publishers: 0,
        viewers: 0,
        streams: 0,
      },
      links: stored.spec.roles.includes('relay') ? this.#links(stored) : [],
      programmedGeneration: node.acknowledged,
      conditions: [
        condition('AgentConnected', connected, since),
        condition('Programmed', acknowledged ? 'True' : 'False', now),
        ...(draining === undefined ? [] : [condition('Draining', 'True', rfc3339(draining))]),
      ],
    };
    this.#api.store.write(path, { ...stored, status }, 'status');
  }

  #links({ metadata, spec }: MediaNode): object[] {
    return (spec.peers ?? []).map(({ node, region }) => {
      const key = [spec.region, region].sort().join(' ');
      const rttMs = this.#linkRtts.get(key) ?? 10 + key.length;
      const state = rttMs >= 1_000 ? 'Down' : 'Up';
      return { peer: node, state, rttMs: rttMs + (metadata.name < node ? 0 : 0.2), jitterMs: 1, lossPercent: 0 };
    });
  }

  #renew(): void {
    if (!this.#replica) return;
    const renewTime = new Date(this.#clock.wall()).toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: this.#replica, leaseDurationSeconds: CONTROL_LEASE_S, renewTime };
    const path = `${LEASES}/millrace-control-${this.#replica}`;
    this.#api.put(path, {
      ...(this.#api.objects.get(path) as Lease | undefined),
      kind: 'Lease',
      apiVersion: 'coordination.k8s.io/v1',
      spec,
    });
  }

  #running(isReady: boolean): object {
    const condition = { type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime: rfc3339(this.#clock.wall()) };
    return { phase: 'Running', conditions: [condition] };
  }

  #pod(name: string): Pod | undefined {
    return this.#api.objects.get(`${PODS}/${name}`) as Pod | undefined;
  }

  #setPod(name: string, pod: Pod, status: object): void {
    this.#api.store.write(`${PODS}/${name}`, { ...pod, status }, 'status');
  }

  #mediaNode({ name, uid }: TrueNode): MediaNode | undefined {
    const stored = this.#api.objects.get(`${MEDIA_NODES}/${name}`) as unknown as MediaNode | undefined;
    return stored?.spec.pod.uid === uid ? stored : undefined;
  }

  edge(name: string): MediaEdge | undefined {
    return this.#api.objects.get(`${EDGES}/${name}`) as unknown as MediaEdge | undefined;
  }

  #later(minMs: number, maxMs: number, then: () => void): void {
    this.#clock.setTimeout(then, this.#chance.whole(minMs, maxMs));
  }

  #every(ms: number, then: () => void): void {
    this.#clock.setTimeout(() => {
      then();
      this.#every(ms, then);
    }, ms);
  }
}
