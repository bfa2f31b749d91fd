import type { Clock } from '@millrace/service';
import type { Informer, Lease } from '@millrace/kube';

/** Name prefix of the Leases of control's replicas; the rest of the name is the replica. */
const CONTROL_LEASE_PREFIX = 'millrace-control-';

const DEFAULT_LEASE_MS = 15_000;

/**
 * Tracks by their Leases which replicas of control are alive. As in leader election, a Lease expires its duration after this process saw its
 * last renewal, so that clocks need not agree. Statuses that a dead replica wrote are stale and say nothing about its nodes.
 */
export class ControlReplicas {
  readonly #clock: Clock;
  readonly #seen = new Map<string, { renewal: string; at: number; durationMs: number }>();

  constructor(leases: Informer<Lease>, clock: Clock) {
    this.#clock = clock;
    leases.subscribe(({ type, object }) => {
      const name = object.metadata?.name ?? '';
      if (!name.startsWith(CONTROL_LEASE_PREFIX)) return;
      const replica = name.slice(CONTROL_LEASE_PREFIX.length);
      if (type === 'deleted') this.#seen.delete(replica);
      else this.#renew(replica, object);
    });
  }

  /** Whether this replica renewed its Lease within its duration. */
  isAlive(replica: string | undefined): boolean {
    const lease = replica === undefined ? undefined : this.#seen.get(replica);
    return lease !== undefined && this.#clock.now() - lease.at <= lease.durationMs;
  }

  #renew(replica: string, { spec }: Lease): void {
    const renewal = String(spec?.renewTime ?? '');
    if (this.#seen.get(replica)?.renewal === renewal) return;
    const durationMs = spec?.leaseDurationSeconds ? spec.leaseDurationSeconds * 1_000 : DEFAULT_LEASE_MS;
    this.#seen.set(replica, { renewal, at: this.#clock.now(), durationMs });
  }
}
