import type { MediaNode } from '@millrace/api';
import type { Lease } from '@millrace/kube';
import { rfc3339, type StoreEvent } from '@millrace/testkit/kube-api';
import { LEASES, MEDIA_NODES } from '../paths.ts';
import type { Surroundings } from './surroundings.ts';
import type { TrueNode } from './true-node.ts';

const LEASE_S = 60;
/** Of a node that drains. */
const REPORT_MS = 10_000;
/** A status that has no news is written again after this at the latest. */
const REFRESH_MS = 300_000;
/** A node that dials again within this time was never away. */
const RECONNECT_MS = 3_000;

/**
 * Control, and the nodes' connections to it: what their MediaNodes say reaches them, and what they do becomes status. What the real one
 * does when a MediaNode is deleted and made again, or the API restored: docs/decisions/0013-operator-simulation.md.
 */
export class Control {
  readonly #around: Surroundings;
  readonly #onDrain: (node: TrueNode, policy: 'Move' | 'Wait') => void;
  /** Replica that holds all agents; undefined while control is away. */
  #replica: string | undefined;
  #replicas = 0;
  readonly #linkRtts = new Map<string, number>();

  /** `onDrain`: the node has begun to drain. */
  constructor(around: Surroundings, onDrain: (node: TrueNode, policy: 'Move' | 'Wait') => void) {
    this.#around = around;
    this.#onDrain = onDrain;
    around.api.store.subscribe((event) => {
      if (event.where.collection === MEDIA_NODES) this.#onMediaNode(event);
    });
    this.start();
    around.every(20_000, () => this.#renew());
    around.every(REPORT_MS, () => this.#refresh());
  }

  start(): void {
    if (this.#replica) return;
    this.#replica = `c${this.#replicas++}`;
    this.#renew();
    for (const node of this.#around.nodes.values()) this.#dial(node, 5_000);
  }

  /** Its connections end with it, and nobody writes so. */
  stop(): void {
    this.#replica = undefined;
    for (const node of this.#around.nodes.values()) node.connected = false;
  }

  /** A node's process came up, or goes on. */
  dial(node: TrueNode): void {
    node.isUp = true;
    this.#dial(node, 500);
  }

  hangUp(node: TrueNode): void {
    node.isUp = false;
    node.connected = false;
    this.#around.later(RECONNECT_MS, RECONNECT_MS, () => {
      if (!node.connected) this.report(node);
    });
  }

  setRtt(key: string, rttMs: number): void {
    this.#linkRtts.set(key, rttMs);
    for (const node of this.#around.nodes.values()) this.#around.later(100, 1_000, () => this.report(node));
  }

  /** It lists everything anew. A spec that is otherwise than what a node runs is news; a status alone that is older is not, until its refresh. */
  reconcileAfterRestore(): void {
    this.#around.later(0, 20_000, () => this.#renew());
    for (const node of this.#around.nodes.values()) {
      const stored = this.#mediaNode(node);
      if (!stored) this.#forget(node);
      else this.#program(node, stored);
      this.#around.later(0, REFRESH_MS, () => this.report(node));
    }
  }

  /** Writes the status of a node that it holds. */
  report(node: TrueNode): void {
    const { api, clock } = this.#around;
    const stored = this.#mediaNode(node);
    if (!stored || !this.#replica || !this.#around.isRunning(node)) return;
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
    const node = this.#around.nodes.get(stored.spec.pod.uid);
    if (!node) return;
    if (type === 'DELETED') this.#forget(node);
    else if (type === 'ADDED') this.#dial(node, 1_500);
    else if (node.connected) this.#program(node, stored);
  }

  /** Without a MediaNode it is sent away; it goes on as it was told last, and dials again. */
  #forget(node: TrueNode): void {
    node.connected = false;
    node.programmed = undefined;
    node.drainAcknowledgedMs = undefined;
  }

  #dial(node: TrueNode, withinMs: number): void {
    this.#around.later(50, withinMs, () => {
      const stored = this.#mediaNode(node);
      if (!stored || !this.#replica || !node.isUp || !this.#around.isRunning(node)) return;
      node.connected = true;
      this.#acknowledge(node, stored);
    });
  }

  #program(node: TrueNode, { metadata }: MediaNode): void {
    if (node.programmed?.uid === metadata.uid && node.programmed?.generation === metadata.generation) return;
    this.#around.later(50, 1_500, () => {
      const now = this.#mediaNode(node);
      if (now && node.connected && this.#around.isRunning(node)) this.#acknowledge(node, now);
    });
  }

  /** The node runs what its spec says, and control writes so. */
  #acknowledge(node: TrueNode, { metadata, spec }: MediaNode): void {
    const began = spec.drain !== undefined && node.drainSince === undefined;
    node.programmed = { uid: metadata.uid ?? '', generation: metadata.generation ?? 0 };
    node.cordoned = spec.cordoned;
    node.drainSince = spec.drain?.since;
    node.drainAcknowledgedMs = spec.drain ? (node.drainAcknowledgedMs ?? this.#around.clock.wall()) : undefined;
    this.report(node);
    if (began) this.#onDrain(node, spec.drain?.policy === 'Wait' ? 'Wait' : 'Move');
  }

  #refresh(): void {
    for (const node of this.#around.nodes.values()) {
      const isDue = this.#around.clock.now() - node.reportAtMs > REFRESH_MS - 2 * REPORT_MS || node.drainSince !== undefined;
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
    const renewTime = new Date(this.#around.clock.wall()).toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: this.#replica, leaseDurationSeconds: LEASE_S, renewTime };
    const path = `${LEASES}/millrace-control-${this.#replica}`;
    const before = this.#around.api.objects.get(path) as Lease | undefined;
    this.#around.api.put(path, { ...before, kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', spec });
  }

  #mediaNode({ name, uid }: TrueNode): MediaNode | undefined {
    const stored = this.#around.api.objects.get(`${MEDIA_NODES}/${name}`) as unknown as MediaNode | undefined;
    return stored?.spec.pod.uid === uid ? stored : undefined;
  }
}

function condition(type: string, status: string, lastTransitionTime: string): object {
  return { type, status, reason: 'Seen', message: '', lastTransitionTime };
}
