import type { FakeClock } from '@millrace/testkit';
import type { MemoryApi } from '@millrace/testkit/kube-api';
import type { Chance } from '../chance.ts';
import { Control } from './control.ts';
import { Kubelets } from './kubelets.ts';
import { Surroundings } from './surroundings.ts';
import type { TrueNode } from './true-node.ts';

/** How long the sessions of a draining node stay at most, ms. */
const EMPTY_WITHIN_MS = { Move: 12_000, Wait: 40_000 };

/**
 * Everything that happens to pods outside of the operator: hosts with kubelets, media nodes with sessions, and control, which writes what
 * nodes report. It looks at the store directly, as those have faults of their own that are not under test here.
 */
export class Fleet {
  readonly kubelets: Kubelets;
  readonly control: Control;
  readonly #around: Surroundings;

  constructor(api: MemoryApi, clock: FakeClock, chance: Chance) {
    this.#around = new Surroundings(api, clock, chance);
    this.control = new Control(this.#around, (node, policy) => this.#empty(node, EMPTY_WITHIN_MS[policy]));
    this.kubelets = new Kubelets(this.#around, (node) => this.control.dial(node));
    this.#around.every(50_000, () => api.bookmark());
  }

  /** Those that run, by the uid of their pod. */
  get nodes(): ReadonlyMap<string, TrueNode> {
    return this.#around.nodes;
  }

  /** Alive nodes that a viewer could be sent to. */
  get open(): TrueNode[] {
    return [...this.nodes.values()].filter(({ connected, cordoned }) => connected && !cordoned);
  }

  join(node: TrueNode, sessions: number): void {
    this.#setSessions(node, node.sessions + sessions);
  }

  leave(node: TrueNode, sessions: number): void {
    this.#setSessions(node, Math.max(0, node.sessions - sessions));
  }

  /** The process is busy or stuck for a while: not ready, and its agent is gone. */
  stumble(node: TrueNode, ms: number): void {
    this.control.hangUp(node);
    this.kubelets.tellReady(node, false);
    this.#around.later(ms, ms, () => {
      if (!this.#around.isRunning(node)) return;
      this.kubelets.tellReady(node, true);
      this.control.dial(node);
    });
  }

  /** The API came back with an older state: kubelets and control list it, and tell it what they know. */
  reconcileAfterRestore(): void {
    this.#around.later(0, 1_500, () => this.kubelets.reconcileAfterRestore());
    this.#around.later(0, 1_500, () => this.control.reconcileAfterRestore());
  }

  /** Whether a node is empty is news at once; how many sessions it has, only while it drains. */
  #setSessions(node: TrueNode, sessions: number): void {
    const isNews = (node.sessions === 0) !== (sessions === 0) || node.drainSince !== undefined;
    node.sessions = sessions;
    if (isNews) this.#around.later(100, 1_000, () => this.control.report(node));
  }

  /** Its sessions go one after the other, while it drains. */
  #empty(node: TrueNode, withinMs: number): void {
    this.#around.later(500, withinMs / 2, () => {
      if (!this.#around.isRunning(node) || !node.cordoned) return;
      if (node.sessions > 0) {
        const left = this.#around.chance.whole(0, node.sessions - 1);
        const elsewhere = this.open.find(({ edge }) => edge === node.edge);
        if (elsewhere) this.join(elsewhere, node.sessions - left);
        this.leave(node, node.sessions - left);
      }
      if (node.sessions > 0) this.#empty(node, withinMs);
    });
  }
}
