import type { MediaEdge } from '@millrace/api';
import type { Clock } from '@millrace/service';
import { controllerRef, isAlreadyExists, podDisruptionBudgets, type KubeClient, type PodDisruptionBudget } from '@millrace/kube';
import { FIELD_MANAGER, LABEL } from './names.ts';

/** How long after somebody deleted a PodDisruptionBudget the operator recreates it. */
const RECHECK_MS = 300_000;

/**
 * Keeps one PodDisruptionBudget for each edge. It blocks the eviction of pods in use and of no others. `kubectl drain` therefore proceeds as
 * soon as a node is empty: the operator drains the nodes of a cordoned host and removes their in-use label when they are empty.
 *
 * `unhealthyPodEvictionPolicy` keeps its default: AlwaysAllow would also evict a node that serves sessions but is unready, because one of its
 * workers died or control is unavailable. An unhealthy node that serves nobody loses the label instead.
 */
export class DisruptionBudgets {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  /** By uid of the edge: when its budget was last seen (monotonic, ms). */
  readonly #seenMs = new Map<string, number>();

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Forgets all edges but these. */
  keep(uids: ReadonlySet<string>): void {
    for (const uid of this.#seenMs.keys()) if (!uids.has(uid)) this.#seenMs.delete(uid);
  }

  async ensure(edge: MediaEdge, signal: AbortSignal): Promise<void> {
    const uid = edge.metadata.uid ?? '';
    const seenMs = this.#seenMs.get(uid);
    if (seenMs !== undefined && this.#clock.now() - seenMs < RECHECK_MS) return;
    try {
      await this.#client.create(podDisruptionBudgets, disruptionBudget(edge), { fieldManager: FIELD_MANAGER, signal });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    this.#seenMs.set(uid, this.#clock.now());
  }
}

function disruptionBudget(edge: MediaEdge): PodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: {
      name: `${edge.metadata.name}-in-use`,
      namespace: edge.metadata.namespace ?? '',
      labels: { [LABEL.edge]: edge.metadata.name },
      ownerReferences: [controllerRef(edge)],
    },
    spec: { maxUnavailable: 0, selector: { matchLabels: { [LABEL.edge]: edge.metadata.name, [LABEL.inUse]: 'true' } } },
  };
}
