import type { Logger } from '@millrace/service';
import { backoffMs, type BackoffPolicy } from '@millrace/service';
import type { KubeClient } from './client.ts';
import { isGone, KubeError } from './errors.ts';
import type { KubeMetrics } from './metrics.ts';
import type { KubeObject } from './object.ts';
import { compareResourceVersions } from './resource-version.ts';
import { RequestScope } from './request-scope.ts';
import type { Resource, Selection } from './resources.ts';
import { sleep } from './sleep.ts';

export interface ListWatchOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource<T>;
  selection?: Selection;
  /** Receives the full state, read after the list with this number started. */
  onList: (items: T[], resourceVersion: string, number: number) => void;
  onEvent: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T) => void;
  logger: Logger;
  metrics?: KubeMetrics | undefined;
  /** Uniform in [0, 1). */
  random: () => number;
  tuning?: Partial<ListWatchTuning> | undefined;
}

export interface ListWatchTuning {
  /** Objects in one page of a list. */
  pageSize: number;
  /** The server ends a watch after one to two times this; the jitter keeps watches from reconnecting all at once. */
  watchTimeoutMs: number;
  /** A watch without any byte for this long is dead. The default allows one missed bookmark: kube-apiserver sends one a minute. */
  inactivityMs: number;
  backoff: BackoffPolicy;
  /** A watch that ends sooner without any event counts as a failure, so that it is not reopened in a tight loop. */
  shortWatchMs: number;
}

export const LIST_WATCH_TUNING: ListWatchTuning = {
  pageSize: 500,
  watchTimeoutMs: 300_000,
  inactivityMs: 130_000,
  // A few operators watch a few kinds, so the delays may be shorter than for thousands of kubelets.
  backoff: { baseMs: 800, maxMs: 10_000 },
  shortWatchMs: 1_000,
};

/** Why a list is needed. */
type RelistCause = 'start' | 'expired' | 'error' | 'disorder' | 'refresh';

/** How a watch ended, and whether the next step resumes from the last version or lists again. */
type Ending = { next: 'resume' | 'relist'; cause: string; failed: boolean; error?: unknown };

/**
 * Lists, then watches, until the signal aborts; only that settles the promise of `run`. When the server ends a watch normally, the next
 * one resumes from the last version seen. After any other end it lists again: the API may have been restored to an older state, in which
 * our version does not exist yet, and a watch from that version would be silent and then continue in another history. Failures are
 * followed by exponential back-off with jitter. The first event or bookmark resets it, as does a watch that lasted longer than the
 * maximum back-off.
 */
export class ListWatch<T extends KubeObject> {
  readonly #options: ListWatchOptions<T>;
  readonly #tuning: ListWatchTuning;
  readonly #logger: Logger;
  /** The current list, watch or back-off. */
  #attempt: RequestScope;
  #wanted: PromiseWithResolvers<void> | undefined;
  #resourceVersion = '';
  /** Consecutive failures, for the back-off. */
  #failures = 0;
  #listsBegun = 0;

  constructor(options: ListWatchOptions<T>) {
    this.#options = options;
    this.#tuning = { ...LIST_WATCH_TUNING, ...options.tuning };
    this.#attempt = new RequestScope(options.client.clock, []);
    this.#logger = options.logger.child({ resource: options.resource.plural });
  }

  async run(signal: AbortSignal): Promise<void> {
    let relist: RelistCause | undefined = 'start';
    while (!signal.aborted) {
      this.#attempt = new RequestScope(this.#options.client.clock, [signal]);
      try {
        relist = (relist ?? this.#wanted) ? await this.#list(relist ?? 'refresh') : await this.#watchOnce();
      } finally {
        this.#attempt.end();
      }
    }
  }

  /** Interrupts the watch and lists again. Resolves when a list that started after this call is complete. */
  refresh(): Promise<void> {
    this.#wanted ??= Promise.withResolvers();
    this.#attempt.abort(new Error('refresh'));
    return this.#wanted.promise;
  }

  /** The number of lists started, including failed ones. */
  get listsBegun(): number {
    return this.#listsBegun;
  }

  get #signal(): AbortSignal {
    return this.#attempt.signal;
  }

  /** Returns the cause if a list is needed next. */
  async #watchOnce(): Promise<RelistCause | undefined> {
    const startedMs = this.#options.client.clock.now();
    const ending = await this.#watch();
    if (this.#options.client.clock.now() - startedMs > this.#tuning.backoff.maxMs) this.#failures = 0;
    if (this.#signal.aborted) return undefined;
    this.#options.metrics?.watchRestarts.inc({ resource: this.#options.resource.plural, cause: ending.cause });
    if (ending.failed) {
      this.#logger.warn({ err: ending.error, cause: ending.cause, next: ending.next }, 'watch failed');
      await this.#backOff(ending.error);
    }
    return ending.next === 'relist' ? relistCause(ending.cause) : undefined;
  }

  /** Returns the cause if the list failed and is still needed. */
  async #list(cause: RelistCause): Promise<RelistCause | undefined> {
    const wanted = this.#wanted;
    const { client, resource, selection } = this.#options;
    this.#options.metrics?.relists.inc({ resource: resource.plural, cause });
    const number = ++this.#listsBegun;
    try {
      const { items, resourceVersion } = await client.listAll(resource, {
        ...selection,
        pageSize: this.#tuning.pageSize,
        signal: this.#signal,
      });
      this.#resourceVersion = resourceVersion;
      this.#guard(() => {
        this.#options.onList(items, resourceVersion, number);
      });
      this.#wanted = undefined;
      wanted?.resolve();
      return undefined;
    } catch (error) {
      if (this.#signal.aborted) return cause;
      this.#logger.warn({ err: error }, 'list failed');
      await this.#backOff(error);
      return cause;
    }
  }

  async #watch(): Promise<Ending> {
    const { client, resource, selection, random } = this.#options;
    const startedMs = client.clock.now();
    let seen = 0;
    try {
      const timeoutSeconds = Math.ceil((this.#tuning.watchTimeoutMs * (1 + random())) / 1000);
      const stream = client.watch(resource, {
        ...selection,
        resourceVersion: this.#resourceVersion,
        timeoutSeconds,
        inactivityMs: this.#tuning.inactivityMs,
        signal: this.#signal,
      });
      for await (const event of stream) {
        if (this.#signal.aborted) break;
        const version = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata!.resourceVersion!;
        // The event is older than the previous one: the server lost or replays history, so the state must be listed.
        if ((compareResourceVersions(version, this.#resourceVersion) ?? 0) < 0) {
          return { next: 'relist', cause: 'disorder', failed: true };
        }
        if (version !== this.#resourceVersion) {
          this.#resourceVersion = version;
          this.#failures = 0;
          seen++;
        }
        if (event.type !== 'BOOKMARK') {
          this.#guard(() => {
            this.#options.onEvent(event.type, event.object);
          });
        }
      }
      const tooShort = seen === 0 && client.clock.now() - startedMs < this.#tuning.shortWatchMs;
      return { next: tooShort ? 'relist' : 'resume', cause: 'ended', failed: tooShort };
    } catch (error) {
      if (isGone(error)) return { next: 'relist', cause: 'expired', failed: this.#failures > 0 || seen === 0, error };
      const cause = error instanceof KubeError && error.code === 0 ? error.reason : 'error';
      return { next: 'relist', cause, failed: true, error };
    }
  }

  async #backOff(error: unknown): Promise<void> {
    this.#failures++;
    const { client, random } = this.#options;
    const retryAfterMs = error instanceof KubeError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    await sleep(client.clock, Math.max(retryAfterMs, backoffMs(this.#tuning.backoff, this.#failures, random)), this.#signal);
  }

  /** An exception of a handler is logged and counted; the watch continues. */
  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#options.metrics?.handlerErrors.inc({ resource: this.#options.resource.plural });
      this.#logger.error({ err: error }, 'handler failed');
    }
  }
}

function relistCause(cause: string): RelistCause {
  return cause === 'expired' || cause === 'disorder' ? cause : 'error';
}
