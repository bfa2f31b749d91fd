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
  /** Unique for this process' life, so that a restarted process never takes an old term for its own; default host and a uuid. */
  identity?: string;
  /** Others take over when the lease was not renewed for this long; default 15 s. */
  leaseDurationMs?: number;
  /** We stop writing when we could not renew for this long; default 10 s. What is between the two covers writes on their way. */
  renewDeadlineMs?: number;
  /** Between two tries; default 2 s. */
  retryPeriodMs?: number;
}

export interface Term {
  /** For `client.fenced`: open while the lease is surely ours. */
  fence: Fence;
  /** Aborts when the term ends: lost, or stopped (the fence is then open until the work has settled). */
  signal: AbortSignal;
}

/**
 * Leader election over a coordination.k8s.io Lease. Holders' clocks are not compared: a lease counts as expired when we ourselves saw no
 * change of it for its duration. Runs outside the client's rate limit.
 *
 * The holder's fence stays open for a while after its last renewal, whatever becomes of the Lease. So a rival that was seen to hold it is
 * waited for when the Lease is deleted, or when an API server that was restored from a backup shows an older one: only a release, which
 * comes after the last version seen, ends the wait.
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
  /** The lease as last seen or written. */
  #observed: Lease | undefined;
  /** Until when (monotonic) a rival that was seen to hold the Lease may still write. */
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

  /** Who held the lease when last looked at; undefined when nobody. */
  get holder(): string | undefined {
    return this.#observed?.spec?.holderIdentity || undefined;
  }

  /**
   * Campaigns, and calls `lead` for each term won, until the signal aborts. `lead` must settle soon after its term's signal aborts.
   * Settles when the last term is over and its lease released; rejects with what `lead` rejects with, when its term was not over.
   */
  async run(signal: AbortSignal, lead: (term: Term) => Promise<void>): Promise<void> {
    this.#reportLeading(false);
    while (!signal.aborted) {
      const acquiredMs = await this.#tryOnce(signal);
      if (acquiredMs !== undefined) await this.#serve(signal, acquiredMs, lead);
      // After a term others get their turn.
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
    const renewing = this.#keep(fence, over.signal);
    try {
      await lead({ fence, signal: term.signal });
    } catch (error) {
      if (!term.signal.aborted) throw error;
      this.#logger.info({ err: error }, 'work of the term ended with its abort');
    } finally {
      stop.removeEventListener('abort', end);
      over.abort();
      await renewing;
      this.#isServing = false;
      const held = !fence.signal.aborted;
      fence.close('the term is over');
      this.#reportLeading(false);
      this.#logger.info({ held }, 'leading no more');
      if (held) await this.#release();
    }
  }

  /** Renews until told that the term is over, or the fence closes. */
  async #keep(fence: LeaseFence, over: AbortSignal): Promise<void> {
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

  /** Acquires or renews; returns when (monotonic) the request that did it was about to leave, or undefined. */
  async #tryOnce(signal: AbortSignal): Promise<number | undefined> {
    try {
      return await this.#acquireOrRenew({ signal, timeoutMs: this.#renewDeadlineMs / 2 });
    } catch (error) {
      if (!signal.aborted) this.#logger.warn({ err: error }, 'lease not reached');
      return undefined;
    }
  }

  async #acquireOrRenew(timing: CallOptions): Promise<number | undefined> {
    const mine = this.#isServing && this.holder === this.identity ? this.#observed : undefined;
    let lease = mine ?? (await this.#look(timing));
    for (let attempt = 1; ; attempt++) {
      if (!this.#mayTake(lease)) return undefined;
      const sentMs = this.#clock.now();
      try {
        const wish = this.#claim(lease);
        this.#observe(lease ? await this.#client.update(leases, wish, timing) : await this.#client.create(leases, wish, timing));
        return sentMs;
      } catch (error) {
        if ((!isConflict(error) && !isAlreadyExists(error) && !mine) || attempt === 2) throw error;
        lease = await this.#look(timing); // somebody wrote in between, or it was deleted: see who holds it
      }
    }
  }

  async #look(timing: CallOptions): Promise<Lease | undefined> {
    const lease = await this.#client.find(leases, this.#options.lease, timing);
    if (lease) this.#observe(lease);
    else this.#observeNone();
    return lease;
  }

  /** Deleted: its holder may have renewed it the moment before, and writes on until it finds out or its time is over. */
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

  /** While a term lasts our name in it is enough. */
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

  /** Lets others take over at once instead of after the lease's duration. */
  async #release(): Promise<void> {
    const timing = { timeoutMs: this.#retryPeriodMs };
    try {
      // Looked at anew: a renewal that was cut short by the stop may have been done.
      const lease = await this.#client.find(leases, this.#options.lease, timing);
      if (!lease || lease.spec?.holderIdentity !== this.identity) return;
      const now = formatMicroTime(this.#clock.wall());
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
      this.#observe(await this.#client.update(leases, { ...lease, spec }, timing));
    } catch (error) {
      this.#logger.warn({ err: error }, 'lease not released; it runs out by itself');
    }
  }

  #reportLeading(leading: boolean): void {
    this.#options.metrics?.leading.set({ lease: this.#options.lease.name }, leading ? 1 : 0);
  }
}

/** A later version of the same object. */
function isLater(lease: Lease, known: Lease): boolean {
  const [a, b] = [lease.metadata, known.metadata];
  return a?.uid === b?.uid && (compareResourceVersions(a?.resourceVersion ?? '', b?.resourceVersion ?? '') ?? 1) > 0;
}
