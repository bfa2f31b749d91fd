import type { Timer } from '@millrace/service';
import { KubeError, type Status } from './errors.ts';
import { jsonLines } from './json-lines.ts';
import type { KubeObject } from './object.ts';
import type { RequestScope } from './request-scope.ts';
import { lost, open, type ApiRequest, type CallOptions, type RequestPolicy } from './request.ts';
import { collectionPath, type Resource, type Selection } from './resources.ts';

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  /** No change; a later watch may start from this version. */
  | { type: 'BOOKMARK'; resourceVersion: string };

export interface WatchOptions extends Selection, CallOptions {
  /** The version of a list or an earlier event; the watch returns the events after it. */
  resourceVersion: string;
  /** The server ends the watch after this long. */
  timeoutSeconds: number;
  /** The watch fails with KubeError Inactive when no byte arrives for this long, which detects dead connections. */
  inactivityMs: number;
}

/**
 * Opens one streaming GET, which ends normally when the server ends it. Throws the signal's reason, or a KubeError: that of an ERROR
 * event (410 when the version is too old), ConnectionLost, Inactive or BadAnswer.
 */
export async function* openWatch<T extends KubeObject>(
  policy: RequestPolicy,
  resource: Resource<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>, void> {
  const request: ApiRequest = {
    verb: 'watch',
    resource,
    method: 'GET',
    path: collectionPath(resource, options.namespace),
    query: {
      watch: true,
      allowWatchBookmarks: true,
      labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector,
      resourceVersion: options.resourceVersion,
      timeoutSeconds: options.timeoutSeconds,
    },
    signal: options.signal,
    timeoutMs: options.timeoutMs,
  };
  const { response, scope } = await open(policy, request);
  scope.clearDeadline();
  const idle = new IdleCheck(policy, scope, options.inactivityMs, `watch of ${resource.plural}`);
  try {
    for await (const line of jsonLines(idle.observe(response.body))) yield parseEvent<T>(line);
  } catch (error) {
    throw scope.signal.aborted ? scope.signal.reason : lost(error, request);
  } finally {
    idle.stop();
    scope.end();
  }
}

function parseEvent<T extends KubeObject>(line: unknown): WatchEvent<T> {
  const { type, object } = (line ?? {}) as { type?: string; object?: T & Status };
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (object?.metadata?.name && object.metadata.resourceVersion) return { type, object };
      throw KubeError.local('BadAnswer', `a watch event of type ${type} without name or resourceVersion`);
    case 'BOOKMARK':
      if (object?.metadata?.resourceVersion) return { type, resourceVersion: object.metadata.resourceVersion };
      throw KubeError.local('BadAnswer', 'a bookmark without resourceVersion');
    case 'ERROR':
      throw new KubeError(object?.code ?? 500, object?.reason ?? 'Unknown', `watch: ${object?.message ?? 'error event'}`, {
        details: object?.details,
      });
    default:
      throw KubeError.local('BadAnswer', `a watch event of unknown type ${String(type)}`);
  }
}

/** Aborts a scope when no byte arrives for too long. The one timer is re-armed only when it expires, not for each byte. */
class IdleCheck {
  readonly #policy: RequestPolicy;
  readonly #scope: RequestScope;
  readonly #boundMs: number;
  readonly #what: string;
  #lastByteMs: number;
  #timer: Timer | undefined;

  constructor(policy: RequestPolicy, scope: RequestScope, boundMs: number, what: string) {
    this.#policy = policy;
    this.#scope = scope;
    this.#boundMs = boundMs;
    this.#what = what;
    this.#lastByteMs = policy.clock.now();
    this.#check();
  }

  async *observe(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of body) {
      this.#lastByteMs = this.#policy.clock.now();
      yield chunk;
    }
  }

  stop(): void {
    this.#policy.clock.clearTimeout(this.#timer);
  }

  #check(): void {
    const leftMs = this.#lastByteMs + this.#boundMs - this.#policy.clock.now();
    if (leftMs <= 0) {
      this.#scope.abort(KubeError.local('Inactive', `${this.#what}: no byte received for ${this.#boundMs} ms`));
      return;
    }
    this.#timer = this.#policy.clock.setTimeout(() => {
      this.#check();
    }, leftMs);
  }
}
