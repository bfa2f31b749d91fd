import type { MediaNode } from '@millrace/api';
import type { Lease } from '@millrace/kube';
import { rfc3339, type StoreEvent } from '@millrace/testkit/kube-api';
import { LEASES, MEDIA_NODES } from '../paths.ts';
import type { Environment } from './environment.ts';
import type { SimulatedNode } from './simulated-node.ts';

const LEASE_S = 60;
/** The report interval of a draining node. */
const REPORT_MS = 10_000;
/** The maximum time between two writes of an unchanged status. */
const REFRESH_MS = 300_000;
/** A node that reconnects within this time is not reported as disconnected. */
const RECONNECT_MS = 3_000;

/**
 * Simulates control and its connections to the nodes: it delivers MediaNode specs to nodes and writes their reports to status. Decision
 * 0013 describes what the real control does when a MediaNode is deleted and recreated, or when the API is restored.
 */
export class Control {
  readonly #environment: Environment;
  readonly #onDrain: (node: SimulatedNode, policy: 'Move' | 'Wait') => void;
  /** The control replica to which all agents are connected; undefined while control is down. */
  #replica: string | undefined;
  #replicas = 0;
  readonly #linkRtts = new Map<string, number>();

  /** `onDrain` is called when a node starts to drain. */
  constructor(environment: Environment, onDrain: (node: SimulatedNode, policy: 'Move' | 'Wait') => void) {
    this.#environment = environment;
    this.#onDrain = onDrain;
    environment.api.store.subscribe((event) => {
      if (event.where.collection === MEDIA_NODES) this.#onMediaNode(event);
    });
    this.start();
    environment.every(20_000, () => this.#renew());
    environment.every(REPORT_MS, () => this.#refresh());
  }

  start(): void {
    if (this.#replica) return;
    this.#replica = `c${this.#replicas++}`;
    this.#renew();
    for (const node of this.#environment.nodes.values()) this.#dial(node, 5_000);
  }

  /** Disconnects all nodes. No status says so, because no other replica writes it. */
  stop(): void {
    this.#replica = undefined;
    for (const node of this.#environment.nodes.values()) node.connected = false;
  }

  /** Connects a node whose process has started or resumed. */
  dial(node: SimulatedNode): void {
    node.isUp = true;
    this.#dial(node, 500);
  }

  hangUp(node: SimulatedNode): void {
    node.isUp = false;
    node.connected = false;
    this.#environment.later(RECONNECT_MS, RECONNECT_MS, () => {
      if (!node.connected) this.report(node);
    });
  }

  setRtt(key: string, rttMs: number): void {
    this.#linkRtts.set(key, rttMs);
    for (const node of this.#environment.nodes.values()) this.#environment.later(100, 1_000, () => this.report(node));
  }

  /** Lists all MediaNodes again. A spec that differs from what a node runs is delivered; an outdated status waits for its refresh. */
  reconcileAfterRestore(): void {
    this.#environment.later(0, 20_000, () => this.#renew());
    for (const node of this.#environment.nodes.values()) {
      const stored = this.#mediaNode(node);
      if (!stored) this.#forget(node);
      else this.#program(node, stored);
      this.#environment.later(0, REFRESH_MS, () => this.report(node));
    }
  }

  /** Writes the status of a connected node. */
  report(node: SimulatedNode): void {
    const { api, clock } = this.#environment;
    const stored = this.#mediaNode(node);
    if (!stored || !this.#replica || !this.#environment.isRunning(node)) return;
    node.reportAtMs = clock.now();
    const now = rfc3339(clock.wall());
    const before = stored.status?.conditions?.find(({ type }) => type === 'AgentConnected');
    const connected = node.connected ? 'True' : 'False';
    const since = before?.status === connected ? before.lastTransitionTime : now;
    const generation = node.programmed?.uid === stored.metadata.uid ? node.programmed?.generation : undefined;
    const isProgrammed = generation !== undefined && generation === stored.metadata.generation;
    const draining = stored.spec.drain && isProgrammed ? node.drainAcknowledgedMs : undefined;
    const { sessions } = node;
    const load = { cpuPercent: 5, egressMbps: sessions, ingressMbps: 1, sessions, publishers: 0, viewers: 0, streams: 0 };
    const status = {
      agent: { replica: this.#replica, bootId: node.uid, since, lastReportAt: now },
      endpoints: { signalingUrl: `http://${node.name}:8080`, host: node.name, trunkPort: 1 },
      load,
      links: stored.spec.roles.includes('relay') ? this.#links(stored) : [],
      ...(generation === undefined ? {} : { programmedGeneration: generation }),
      conditions: [
        condition('AgentConnected', connected, since),
        condition('Programmed', isProgrammed ? 'True' : 'False', now),
        ...(draining === undefined ? [] : [condition('Draining', 'True', rfc3339(draining))]),
      ],
    };
    api.store.write(`${MEDIA_NODES}/${node.name}`, { ...stored, status }, 'status');
  }

  #onMediaNode({ type, object }: StoreEvent): void {
    const stored = object as unknown as MediaNode;
    const node = this.#environment.nodes.get(stored.spec.pod.uid);
    if (!node) return;
    if (type === 'DELETED') this.#forget(node);
    else if (type === 'ADDED') this.#dial(node, 1_500);
    else if (node.connected) this.#program(node, stored);
  }

  /** Control rejects a node without a MediaNode. The node keeps its last configuration and reconnects. */
  #forget(node: SimulatedNode): void {
    node.connected = false;
    node.programmed = undefined;
    node.drainAcknowledgedMs = undefined;
  }

  #dial(node: SimulatedNode, withinMs: number): void {
    this.#environment.later(50, withinMs, () => {
      const stored = this.#mediaNode(node);
      if (!stored || !this.#replica || !node.isUp || !this.#environment.isRunning(node)) return;
      node.connected = true;
      this.#acknowledge(node, stored);
    });
  }

  #program(node: SimulatedNode, { metadata }: MediaNode): void {
    if (node.programmed?.uid === metadata.uid && node.programmed?.generation === metadata.generation) return;
    this.#environment.later(50, 1_500, () => {
      const now = this.#mediaNode(node);
      if (now && node.connected && this.#environment.isRunning(node)) this.#acknowledge(node, now);
    });
  }

  /** The node applies its spec, and control reports it as programmed. */
  #acknowledge(node: SimulatedNode, { metadata, spec }: MediaNode): void {
    const began = spec.drain !== undefined && node.drainSince === undefined;
    node.programmed = { uid: metadata.uid ?? '', generation: metadata.generation ?? 0 };
    node.cordoned = spec.cordoned;
    node.drainSince = spec.drain?.since;
    node.drainAcknowledgedMs = spec.drain ? (node.drainAcknowledgedMs ?? this.#environment.clock.wall()) : undefined;
    this.report(node);
    if (began) this.#onDrain(node, spec.drain?.policy === 'Wait' ? 'Wait' : 'Move');
  }

  #refresh(): void {
    for (const node of this.#environment.nodes.values()) {
      const isDue = this.#environment.clock.now() - node.reportAtMs > REFRESH_MS - 2 * REPORT_MS || node.drainSince !== undefined;
      if (isDue) this.report(node);
    }
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
    const renewTime = new Date(this.#environment.clock.wall()).toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: this.#replica, leaseDurationSeconds: LEASE_S, renewTime };
    const path = `${LEASES}/millrace-control-${this.#replica}`;
    const before = this.#environment.api.objects.get(path) as Lease | undefined;
    this.#environment.api.put(path, { ...before, kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', spec });
  }

  #mediaNode({ name, uid }: SimulatedNode): MediaNode | undefined {
    const stored = this.#environment.api.objects.get(`${MEDIA_NODES}/${name}`) as unknown as MediaNode | undefined;
    return stored?.spec.pod.uid === uid ? stored : undefined;
  }
}

function condition(type: string, status: string, lastTransitionTime: string): object {
  return { type, status, reason: 'Seen', message: '', lastTransitionTime };
}
