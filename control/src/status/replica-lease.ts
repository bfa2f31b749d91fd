import { createHash } from 'node:crypto';
import { Informer, formatMicroTime, isAlreadyExists, isNotFound, leases, type KubeClient, type Lease } from '@millrace/kube';
import type { Clock, Logger, Timer } from '@millrace/service';

/** Name prefix of the Leases, by which the operator finds them. */
const PREFIX = 'millrace-control-';
const LABEL = 'millrace.dev/control-replica';
const DURATION_SECONDS = 15;
const RENEW_MS = 5000;
/** A replica that has been gone for this long does not come back under its name. */
const FORGET_MS = 600_000;

/**
 * This replica's own Lease and those of the others. A MediaNode names the replica that holds its connection, and the Lease shows whether that
 * replica is alive.
 */
export class ReplicaLease {
  readonly #client: KubeClient;
  readonly #namespace: string;
  readonly #replica: string;
  /** Namespace of the Lease. */
  readonly #name: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #informer: Informer<Lease>;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;

  /** The Lease is called `millrace-control-<replica>`. */
  constructor(options: { client: KubeClient; namespace: string; replica: string; clock: Clock; logger: Logger }) {
    // Without a rate limit: a renewal must not wait behind status writes.
    this.#client = options.client.unlimited();
    this.#namespace = options.namespace;
    this.#replica = options.replica;
    this.#name = PREFIX + options.replica;
    this.#clock = options.clock;
    this.#logger = options.logger;
    const selection = { namespace: options.namespace, labelSelector: LABEL };
    this.#informer = new Informer({ client: options.client, resource: leases, selection, logger: options.logger });
  }

  get hasSynced(): boolean {
    return this.#informer.hasSynced;
  }

  start(): void {
    this.#running = this.#informer.run(this.#stop.signal);
    void this.#keep();
  }

  /** The replicas that are alive: this one and others with a fresh Lease. */
  live(): string[] {
    const live = new Set([this.#replica]);
    for (const lease of this.#informer.store.list()) {
      if (this.#silentMs(lease) < DURATION_SECONDS * 1000) live.add(lease.metadata!.name!.slice(PREFIX.length));
    }
    return [...live].sort();
  }

  isLive(replica: string): boolean {
    return this.live().includes(replica);
  }

  /** Whether this replica writes the status of `key`. While replicas disagree on who is alive, two may write it, with the same content. */
  owns(key: string): boolean {
    const weight = (replica: string): string => createHash('sha256').update(`${key}\0${replica}`).digest('hex');
    const mine = weight(this.#replica);
    return this.live().every((replica) => replica === this.#replica || weight(replica) < mine);
  }

  /** Releases the Lease. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#clock.clearTimeout(this.#timer);
    await this.#running;
    await this.#client
      .delete(leases, { namespace: this.#namespace, name: this.#name }, { timeoutMs: 2000 })
      .catch((err: unknown) => {
        if (!isNotFound(err)) this.#logger.info({ err }, 'the Lease stays until it is forgotten');
      });
  }

  async #keep(): Promise<void> {
    try {
      await this.#renew();
      await this.#forgetOld();
    } catch (err) {
      this.#logger.warn({ err, lease: this.#name }, 'Lease not renewed');
    }
    if (this.#stop.signal.aborted) return;
    this.#timer = this.#clock.setTimeout(() => void this.#keep(), RENEW_MS);
    this.#timer.unref();
  }

  async #renew(): Promise<void> {
    const options = { fieldManager: 'millrace-control', timeoutMs: RENEW_MS, signal: this.#stop.signal };
    const ref = { namespace: this.#namespace, name: this.#name };
    const spec = {
      holderIdentity: this.#replica,
      leaseDurationSeconds: DURATION_SECONDS,
      renewTime: formatMicroTime(this.#clock.wall()),
    };
    try {
      await this.#client.patch(leases, ref, { type: 'merge', patch: { spec } }, options);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const metadata = { ...ref, labels: { [LABEL]: 'true' } };
      await this.#client
        .create(leases, { metadata, spec: { ...spec, acquireTime: spec.renewTime } }, options)
        .catch((again: unknown) => {
          if (!isAlreadyExists(again)) throw again;
        });
    }
  }

  async #forgetOld(): Promise<void> {
    for (const { metadata, ...lease } of this.#informer.store.list()) {
      const { name, resourceVersion } = metadata ?? {};
      if (!name || !resourceVersion || name === this.#name || this.#silentMs({ metadata, ...lease }) < FORGET_MS) continue;
      await this.#client
        .delete(leases, { namespace: this.#namespace, name }, { preconditions: { resourceVersion } })
        .catch(() => {});
    }
  }

  #silentMs(lease: Lease): number {
    const renewed = Date.parse(lease.spec?.renewTime ?? '');
    return Number.isNaN(renewed) ? Infinity : this.#clock.wall() - renewed;
  }
}
