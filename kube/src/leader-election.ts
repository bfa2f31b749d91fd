import { randomUUID } from 'node:crypto';
import os from 'node:os';
import type { Clock, Logger } from '@millrace/service';
import type { KubeClient } from './client.ts';
import { formatMicroTime } from './conditions.ts';
import { isAlreadyExists, isConflict } from './errors.ts';
import { LeaseFence, type Fence } from './fence.ts';
import type { KubeMetrics } from './metrics.ts';
import type { ObjectRef } from './object.ts';
import type { CallOptions } from './request.ts';
import { compareResourceVersions } from './resource-version.ts';
import { leases, type Lease } from './resources.ts';
import { sleep } from './sleep.ts';

export interface LeaderElectionOptions {
  client: KubeClient;
  lease: ObjectRef;
  logger: Logger;
  /** Uniform in [0, 1). */
  random: () => number;
  metrics?: KubeMetrics | undefined;
  /** Unique per process start, so that a restarted process never mistakes an old term for its own; default host name and a UUID. */
  identity?: string;
  /** Others take over a lease that was not renewed for this long; default 15 s. */
  leaseDurationMs?: number;
  /** A leader that could not renew for this long stops writing; default 10 s. The rest of the lease covers its writes in flight. */
  renewDeadlineMs?: number;
  /** The time between two attempts; default 2 s. */
  retryPeriodMs?: number;
}

export interface Term {
  /** For `client.fenced`: open while this process certainly holds the lease. */
  fence: Fence;
  /** Aborts when the lease is lost or the elector is stopped. After a stop the fence stays open until `lead` has settled. */
  signal: AbortSignal;
}

/**
 * Leader election over a coordination.k8s.io Lease. It does not compare the clocks of candidates: a lease has expired when this process
 * has observed no change of it for its duration. Its requests bypass the client's rate limit.
 *
 * The holder's fence stays open for a time after its last renewal, whatever happens to the Lease object. So when the Lease is deleted, or
 * an API server restored from a backup returns an older one, a candidate waits until the lease of the last known holder has expired. Only
 * a release, which has a later version than the last one seen, ends the wait early.
 */
export class LeaderElector {
  readonly identity: string;
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #options: LeaderElectionOptions;
  readonly #logger: Logger;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  /** The Lease as last read or written. */
  #observed: Lease | undefined;
  /** When (monotonic) the lease of the last other holder that was observed expires; until then it may write. */
  #rivalUntilMs = -Infinity;
  #isServing = false;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#client = options.client.unlimited();
    this.#clock = options.client.clock;
    this.identity = options.identity ?? `${os.hostname()}_${randomUUID()}`;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#leaseDurationMs < 1_000) throw new RangeError('leaseDurationMs must be at least 1000: a Lease counts in seconds');
    if (this.#renewDeadlineMs >= this.#leaseDurationMs) throw new RangeError('renewDeadlineMs must be below leaseDurationMs');
    if (this.#retryPeriodMs * 1.2 >= this.#renewDeadlineMs)
      throw new RangeError('retryPeriodMs must be well below renewDeadlineMs');
    this.#logger = options.logger.child({
      lease: `${options.lease.namespace ?? ''}/${options.lease.name}`,
      identity: this.identity,
    });
  }

  /** The holder when the Lease was last read; undefined when it had none. */
  get holder(): string | undefined {
    return this.#observed?.spec?.holderIdentity || undefined;
  }

  /**
   * Campaigns, and calls `lead` for each term won, until the signal aborts. `lead` must settle soon after its term's signal aborts.
   * Settles when the last term is over and its lease released. Rejects with the error of `lead` if that fails during its term.
   */
  async run(signal: AbortSignal, lead: (term: Term) => Promise<void>): Promise<void> {
    this.#reportLeading(false);
    while (!signal.aborted) {
      const acquiredMs = await this.#tryOnce(signal);
      if (acquiredMs !== undefined) await this.#serve(signal, acquiredMs, lead);
      // Gives other candidates a turn after a term.
      await sleep(this.#clock, this.#retryPeriodMs * (1 + 0.2 * this.#options.random()), signal);
    }
  }

  async #serve(stop: AbortSignal, acquiredMs: number, lead: (term: Term) => Promise<void>): Promise<void> {
    const fence = new LeaseFence(this.#clock, acquiredMs + this.#renewDeadlineMs);
    const term = new AbortController();
    const end = (event: Event): void => {
      term.abort((event.target as AbortSignal).reason);
    };
    fence.signal.addEventListener('abort', end, { once: true });
    stop.addEventListener('abort', end, { once: true });
    if (stop.aborted) term.abort(stop.reason);
    this.#logger.info('leading');
    this.#reportLeading(true);
    this.#isServing = true;
    const over = new AbortController();
    const renewing = this.#keepRenewing(fence, over.signal);
    try {
      await lead({ fence, signal: term.signal });
    } catch (error) {
      if (!term.signal.aborted) throw error;
      this.#logger.info({ err: error }, 'the work of the term failed after its abort');
    } finally {
      stop.removeEventListener('abort', end);
      over.abort();
      await renewing;
      this.#isServing = false;
      const held = !fence.signal.aborted;
      fence.close('the term is over');
      this.#reportLeading(false);
      this.#logger.info({ held }, 'stopped leading');
      if (held) await this.#release();
    }
  }

  /** Renews the lease until `over` aborts or the fence closes. */
  async #keepRenewing(fence: LeaseFence, over: AbortSignal): Promise<void> {
    const rest = new AbortController();
    const wake = (): void => {
      rest.abort();
    };
    over.addEventListener('abort', wake, { once: true });
    fence.signal.addEventListener('abort', wake, { once: true });
    while (!rest.signal.aborted) {
      await sleep(this.#clock, this.#retryPeriodMs * (1 + 0.2 * this.#options.random()), rest.signal);
      if (rest.signal.aborted) return;
      const renewedMs = await this.#tryOnce(rest.signal);
      if (renewedMs !== undefined) fence.extend(renewedMs + this.#renewDeadlineMs);
      else if (this.holder !== this.identity) fence.close(`the lease is held by ${this.holder ?? 'nobody'}`);
    }
  }

  /** Acquires or renews the lease. Returns when (monotonic) the successful request was sent, or undefined. */
  async #tryOnce(signal: AbortSignal): Promise<number | undefined> {
    try {
      return await this.#acquireOrRenew({ signal, timeoutMs: this.#renewDeadlineMs / 2 });
    } catch (error) {
      if (!signal.aborted) this.#logger.warn({ err: error }, 'could not acquire or renew the lease');
      return undefined;
    }
  }

  async #acquireOrRenew(timing: CallOptions): Promise<number | undefined> {
    const mine = this.#isServing && this.holder === this.identity ? this.#observed : undefined;
    let lease = mine ?? (await this.#read(timing));
    for (let attempt = 1; ; attempt++) {
      if (!this.#mayTake(lease)) return undefined;
      const sentMs = this.#clock.now();
      try {
        const claim = this.#claim(lease);
        this.#observe(
          lease ? await this.#client.update(leases, claim, timing) : await this.#client.create(leases, claim, timing),
        );
        return sentMs;
      } catch (error) {
        if ((!isConflict(error) && !isAlreadyExists(error) && !mine) || attempt === 2) throw error;
        lease = await this.#read(timing); // another client changed or deleted the Lease: read who holds it
      }
    }
  }

  async #read(timing: CallOptions): Promise<Lease | undefined> {
    const lease = await this.#client.find(leases, this.#options.lease, timing);
    if (lease) this.#observe(lease);
    else this.#observeNone();
    return lease;
  }

  /** The Lease was deleted. Its holder may have renewed it just before, and may write until it notices or its lease expires. */
  #observeNone(): void {
    const { holder } = this;
    if (holder && holder !== this.identity) this.#rivalUntilMs = this.#clock.now() + this.#leaseDurationMs;
    this.#observed = undefined;
  }

  #observe(lease: Lease): void {
    const known = this.#observed;
    const isSame = known?.metadata?.uid === lease.metadata?.uid && JSON.stringify(known?.spec) === JSON.stringify(lease.spec);
    const { holderIdentity, leaseDurationSeconds } = lease.spec ?? {};
    if (holderIdentity && holderIdentity !== this.identity) {
      const durationMs = leaseDurationSeconds ? leaseDurationSeconds * 1000 : this.#leaseDurationMs;
      if (!isSame) this.#rivalUntilMs = this.#clock.now() + durationMs;
    } else if (known && isLater(lease, known)) this.#rivalUntilMs = -Infinity;
    this.#observed = lease;
  }

  /** During our own term it is enough that the Lease names us. */
  #mayTake(lease: Lease | undefined): boolean {
    const isOurs = this.#isServing && lease?.spec?.holderIdentity === this.identity;
    return isOurs || this.#clock.now() >= this.#rivalUntilMs;
  }

  #claim(lease: Lease | undefined): Lease {
    const now = formatMicroTime(this.#clock.wall());
    const { holderIdentity, acquireTime, leaseTransitions = 0 } = lease?.spec ?? {};
    const renewal = holderIdentity === this.identity;
    return {
      metadata: lease?.metadata ?? { ...this.#options.lease },
      spec: {
        holderIdentity: this.identity,
        leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
        acquireTime: renewal && acquireTime ? acquireTime : now,
        renewTime: now,
        leaseTransitions: renewal || !lease ? leaseTransitions : leaseTransitions + 1,
      },
    };
  }

  /** Lets another candidate take over at once instead of after the lease duration. */
  async #release(): Promise<void> {
    const timing = { timeoutMs: this.#retryPeriodMs };
    try {
      // Read again: a renewal that the stop aborted may have been executed.
      const lease = await this.#client.find(leases, this.#options.lease, timing);
      if (!lease || lease.spec?.holderIdentity !== this.identity) return;
      const now = formatMicroTime(this.#clock.wall());
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
      this.#observe(await this.#client.update(leases, { ...lease, spec }, timing));
    } catch (error) {
      this.#logger.warn({ err: error }, 'could not release the lease; it will expire');
    }
  }

  #reportLeading(leading: boolean): void {
    this.#options.metrics?.leading.set({ lease: this.#options.lease.name }, leading ? 1 : 0);
  }
}

/** True when `lease` is a later version of the same object. */
function isLater(lease: Lease, known: Lease): boolean {
  const [a, b] = [lease.metadata, known.metadata];
  return a?.uid === b?.uid && (compareResourceVersions(a?.resourceVersion ?? '', b?.resourceVersion ?? '') ?? 1) > 0;
}
