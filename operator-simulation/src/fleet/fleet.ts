import type { FakeClock } from '@millrace/testkit';
import type { MemoryApi } from '@millrace/testkit/kube-api';
import type { RandomSource } from '../random.ts';
import { Control } from './control.ts';
import { Kubelets } from './kubelets.ts';
import { Environment } from './environment.ts';
import type { SimulatedNode } from './simulated-node.ts';

/** The bounds of the time in which a draining node moves a part of its sessions, ms. */
const SESSION_MOVE_MS = { Move: 12_000, Wait: 40_000 };

/**
 * Simulates everything outside the operator that acts on pods: hosts with kubelets, media nodes with sessions, and control, which writes
 * what nodes report. They access the store directly, because faults of their own connections are not under test here.
 */
export class Fleet {
  readonly kubelets: Kubelets;
  readonly control: Control;
  readonly #environment: Environment;

  constructor(api: MemoryApi, clock: FakeClock, random: RandomSource) {
    this.#environment = new Environment(api, clock, random);
    this.control = new Control(this.#environment, (node, policy) => this.#moveSessions(node, SESSION_MOVE_MS[policy]));
    this.kubelets = new Kubelets(this.#environment, (node) => this.control.dial(node));
    this.#environment.every(50_000, () => api.bookmark());
  }

  /** The running nodes, by the uid of their pod. */
  get nodes(): ReadonlyMap<string, SimulatedNode> {
    return this.#environment.nodes;
  }

  /** The nodes that accept new viewers. */
  get open(): SimulatedNode[] {
    return [...this.nodes.values()].filter(({ connected, cordoned }) => connected && !cordoned);
  }

  join(node: SimulatedNode, sessions: number): void {
    this.#setSessions(node, node.sessions + sessions);
  }

  leave(node: SimulatedNode, sessions: number): void {
    this.#setSessions(node, Math.max(0, node.sessions - sessions));
  }

  /** The process hangs for `ms`: its pod is not ready, and its agent is disconnected. */
  stumble(node: SimulatedNode, ms: number): void {
    this.control.hangUp(node);
    this.kubelets.setReady(node, false);
    this.#environment.later(ms, ms, () => {
      if (!this.#environment.isRunning(node)) return;
      this.kubelets.setReady(node, true);
      this.control.dial(node);
    });
  }

  /** The API was restored to an older state: kubelets and control list it again and report what they know. */
  reconcileAfterRestore(): void {
    this.#environment.later(0, 1_500, () => this.kubelets.reconcileAfterRestore());
    this.#environment.later(0, 1_500, () => this.control.reconcileAfterRestore());
  }

  /** Control reports at once when a node becomes empty or is no longer empty; other changes only while the node drains. */
  #setSessions(node: SimulatedNode, sessions: number): void {
    const isReported = (node.sessions === 0) !== (sessions === 0) || node.drainSince !== undefined;
    node.sessions = sessions;
    if (isReported) this.#environment.later(100, 1_000, () => this.control.report(node));
  }

  /** Moves some sessions of a draining node to another node of its edge, until none are left. */
  #moveSessions(node: SimulatedNode, withinMs: number): void {
    this.#environment.later(500, withinMs / 2, () => {
      if (!this.#environment.isRunning(node) || !node.cordoned) return;
      if (node.sessions > 0) {
        const left = this.#environment.random.integer(0, node.sessions - 1);
        const elsewhere = this.open.find(({ edge }) => edge === node.edge);
        if (elsewhere) this.join(elsewhere, node.sessions - left);
        this.leave(node, node.sessions - left);
      }
      if (node.sessions > 0) this.#moveSessions(node, withinMs);
    });
  }
}
