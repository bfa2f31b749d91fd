import { canonicalHost, ipFamilyOf, isLoopbackHost } from '@millrace/api';
import type { Clock, Logger, Timer } from '@millrace/service';

/** How often names are resolved again. */
const RESOLVE_EVERY_MS = 60_000;
/** How often names are resolved while one of them does not resolve. */
const RETRY_MS = 5_000;
const LOOKUP_WITHIN_MS = 10_000;
/** How many addresses clients are told in total. */
const MAX_CANDIDATE_ADDRESSES = 8;

export interface AnnouncedAddressesOptions {
  /** IP addresses and DNS names, the preferred one first. */
  hosts: readonly string[];
  /** All addresses of a name. Rejects when it has none. */
  lookup: (name: string) => Promise<readonly string[]>;
  clock: Clock;
  logger: Logger;
}

/** The IP addresses at which clients are told to reach this node. Candidates hold addresses (RFC 8839 section 5.1), so names are resolved, again and again. */
export class AnnouncedAddresses {
  readonly hosts: readonly string[];
  readonly #options: AnnouncedAddressesOptions;
  readonly #found = new Map<string, readonly string[]>();
  readonly #failures = new Map<string, string>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: AnnouncedAddressesOptions) {
    this.#options = options;
    this.hosts = options.hosts;
  }

  /** In the order of the hosts. Empty while no name has resolved. */
  get current(): string[] {
    const all = this.hosts.flatMap((host) => (ipFamilyOf(host) === undefined ? (this.#found.get(host) ?? []) : [host]));
    return [...new Set(all.map(canonicalHost))].slice(0, MAX_CANDIDATE_ADDRESSES);
  }

  /** One message for each name that does not resolve at present. Its last known addresses stay announced. */
  get problems(): string[] {
    return [...this.#failures].map(
      ([name, why]) => `the announced name ${name} does not resolve (${why}): create its DNS record, or announce an IP address`,
    );
  }

  /** Resolves the names, then periodically again until stopped. `problems` lists names that do not resolve. */
  async start(): Promise<void> {
    const names = this.hosts.filter((host) => ipFamilyOf(host) === undefined);
    if (names.length > 0) await this.#resolve(names);
  }

  stop(): void {
    this.#stopped = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  /**
   * The address to tell a client of plain RTP: of its family, and loopback only to one on this machine. Undefined when there is none of the family.
   * @param client IP address of the client; undefined: the first address
   */
  towards(client: string | undefined): string | undefined {
    const { current } = this;
    if (client === undefined) return current[0];
    const ofFamily = current.filter((address) => ipFamilyOf(address) === ipFamilyOf(client));
    return ofFamily.find((address) => isLoopbackHost(address) === isLoopbackHost(client)) ?? ofFamily[0];
  }

  async #resolve(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#resolveOne(name)));
    if (this.#stopped) return;
    const delayMs = this.#failures.size > 0 ? RETRY_MS : RESOLVE_EVERY_MS;
    this.#timer = this.#options.clock.setTimeout(() => void this.#resolve(names), delayMs);
    this.#timer.unref();
  }

  async #resolveOne(name: string): Promise<void> {
    const { lookup, logger } = this.#options;
    try {
      const addresses = [...(await this.#within(LOOKUP_WITHIN_MS, lookup(name)))];
      if (addresses.length === 0) throw new Error('it has no address');
      const before = this.#found.get(name);
      if (before?.join() !== addresses.join()) logger.info({ name, addresses }, 'announced name resolved');
      this.#found.set(name, addresses);
      this.#failures.delete(name);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!this.#failures.has(name)) logger.error({ name, err: error }, 'the announced name does not resolve; trying again');
      this.#failures.set(name, why);
    }
  }

  /** Adds a deadline, which the system's resolver does not offer. */
  #within<T>(ms: number, work: Promise<T>): Promise<T> {
    const { clock } = this.#options;
    return new Promise<T>((resolve, reject) => {
      const timer = clock.setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
      work.then(resolve, reject).finally(() => clock.clearTimeout(timer));
    });
  }
}
