import type { FakeClock } from '@millrace/testkit';
import type { MemoryApi } from '@millrace/testkit/kube-api';
import type { RandomSource } from '../random.ts';
import type { SimulatedNode } from './simulated-node.ts';

/** The API, clock, random source and running nodes that kubelets and control share. */
export class Environment {
  readonly api: MemoryApi;
  readonly clock: FakeClock;
  readonly random: RandomSource;
  /** The running nodes, by the uid of their pod. */
  readonly nodes = new Map<string, SimulatedNode>();

  constructor(api: MemoryApi, clock: FakeClock, random: RandomSource) {
    this.api = api;
    this.clock = clock;
    this.random = random;
  }

  isRunning(node: SimulatedNode): boolean {
    return this.nodes.get(node.uid) === node;
  }

  later(minMs: number, maxMs: number, then: () => void): void {
    this.clock.setTimeout(then, this.random.integer(minMs, maxMs));
  }

  every(ms: number, then: () => void): void {
    this.clock.setTimeout(() => {
      then();
      this.every(ms, then);
    }, ms);
  }
}
