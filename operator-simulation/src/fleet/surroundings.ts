import type { FakeClock } from '@millrace/testkit';
import type { MemoryApi } from '@millrace/testkit/kube-api';
import type { Chance } from '../chance.ts';
import type { TrueNode } from './true-node.ts';

/** What kubelets, nodes and control share. */
export class Surroundings {
  readonly api: MemoryApi;
  readonly clock: FakeClock;
  readonly chance: Chance;
  /** Those that run, by the uid of their pod. */
  readonly nodes = new Map<string, TrueNode>();

  constructor(api: MemoryApi, clock: FakeClock, chance: Chance) {
    this.api = api;
    this.clock = clock;
    this.chance = chance;
  }

  isRunning(node: TrueNode): boolean {
    return this.nodes.get(node.uid) === node;
  }

  later(minMs: number, maxMs: number, then: () => void): void {
    this.clock.setTimeout(then, this.chance.whole(minMs, maxMs));
  }

  every(ms: number, then: () => void): void {
    this.clock.setTimeout(() => {
      then();
      this.every(ms, then);
    }, ms);
  }
}
