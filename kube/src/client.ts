import type { KubeConfig, V1Scale } from '@kubernetes/client-node';
import { realClock, type Clock } from '@millrace/service';
import { isGone, isNotFound } from './errors.ts';
import type { Fence } from './fence.ts';
import type { KubeMetrics } from './metrics.ts';

import { refOf, type Fields, type KubeObject, type ObjectRef, type Wire } from './object.ts';
import { call, type ApiRequest, type CallOptions, type RequestPolicy } from './request.ts';
import { apiVersionOf, collectionPath, objectPath, type Resource, type Selection, type Subresource } from './resources.ts';
import { TokenBucket } from './token-bucket.ts';
import { NodeTransport } from './transport.ts';
import { openWatch, type WatchEvent, type WatchOptions } from './watch.ts';

export type Scale = Wire<V1Scale>;

export interface ListOptions extends Selection, CallOptions {
  /** The maximum number of items in one page. */
  limit?: number | undefined;
  /** The continue token of the previous page. */
  continue?: string | undefined;
  /** Unset: the newest state (a quorum read). '0': any state that the server has in its cache. */
  resourceVersion?: string | undefined;
}

export interface ListPage<T> {
  items: T[];
  resourceVersion: string;
  /** Set when there are more pages. */
  continue?: string;
}

export interface WriteOptions extends CallOptions {
  fieldManager?: string | undefined;
  subresource?: Subresource | undefined;
}

export interface ApplyOptions extends CallOptions {
  fieldManager: string;
  /** Take over fields that other managers own, as controllers should (Kubernetes documentation, "Server-Side Apply", conflicts). */
  force?: boolean | undefined;
  subresource?: Subresource | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** Delete only the object with this uid or resourceVersion; 409 otherwise. */
  preconditions?: { uid?: string; resourceVersion?: string } | undefined;
  propagation?: 'Background' | 'Foreground' | 'Orphan' | undefined;
  gracePeriodSeconds?: number | undefined;
}

export type JsonPatch = ({ op: 'add' | 'replace' | 'test'; path: string; value: unknown } | { op: 'remove'; path: string })[];
export type Patch = { type: 'json'; patch: JsonPatch } | { type: 'merge'; patch: object };

const PATCH_TYPES = { json: 'application/json-patch+json', merge: 'application/merge-patch+json' };
const PAGE_SIZE = 500;

export interface KubeClientOptions {
  kubeconfig: KubeConfig;
  clock?: Clock;
  /** Sustained requests per second (default 50), and the burst above that (default 100). */
  qps?: number;
  burst?: number;
  /** Timeout of one attempt of a request; default 30 s. */
  timeoutMs?: number;
  metrics?: KubeMetrics;
}

/** A client for the cluster of the kubeconfig's current context. */
export function createKubeClient(options: KubeClientOptions): KubeClient {
  const clock = options.clock ?? realClock;
  return new KubeClient({
    transport: new NodeTransport(options.kubeconfig, clock),
    clock,
    timeoutMs: options.timeoutMs ?? 30_000,
    limiter: new TokenBucket({ clock, qps: options.qps ?? 50, burst: options.burst ?? 100 }),
    metrics: options.metrics,
  });
}

/** The Kubernetes API, typed by resource descriptors. Methods throw KubeError; writes of a fenced client also throw NotLeaderError. */
export class KubeClient {
  readonly #policy: RequestPolicy;

  constructor(policy: RequestPolicy) {
    this.#policy = policy;
  }

  get clock(): Clock {
    return this.#policy.clock;
  }

  /** A client on the same connections that sends a write only while the fence is open. */
  fenced(fence: Fence): KubeClient {
    return new KubeClient({ ...this.#policy, fence });
  }

  /** A client on the same connections without the rate limit: for leader election, which must not queue behind other requests. */
  unlimited(): KubeClient {
    return new KubeClient({ ...this.#policy, limiter: undefined });
  }

  /** A client on the same connections with a limiter of its own, so that its requests and others do not delay each other. */
  limitedBy(limiter: TokenBucket): KubeClient {
    return new KubeClient({ ...this.#policy, limiter });
  }

  /** A client on the same connections that passes the `Date` of each answer to the clock. */
  setting(clock: { observe(dateMs: number, sentMs: number): void }): KubeClient {
    return new KubeClient({ ...this.#policy, onServerTime: (dateMs, sentMs) => clock.observe(dateMs, sentMs) });
  }

  /** Closes the connections, which are shared with the clients derived from this one. */
  close(): void {
    this.#policy.transport.close();
  }

  get<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: CallOptions & { subresource?: Subresource } = {},
  ): Promise<T> {
    const path = objectPath(resource, ref, options.subresource);
    return this.#call<T>({ verb: 'get', resource, method: 'GET', path, ...timing(options) });
  }

  /** Like get; returns undefined when the object does not exist. */
  async find<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, options: CallOptions = {}): Promise<T | undefined> {
    try {
      return await this.get(resource, ref, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Returns one page of a list. */
  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ListPage<T>> {
    const answer = await this.#call<{ items?: T[]; metadata?: { resourceVersion?: string; continue?: string } }>({
      verb: 'list',
      resource,
      method: 'GET',
      path: collectionPath(resource, options.namespace),
      query: {
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
        limit: options.limit,
        continue: options.continue,
        resourceVersion: options.resourceVersion,
      },
      ...timing(options),
    });
    // The API omits apiVersion and kind from the list items of built-in kinds, but not from watch events.
    const identity = { apiVersion: apiVersionOf(resource), kind: resource.kind };
    const items = (answer.items ?? []).map((item) => ({ ...identity, ...item }));
    const { resourceVersion = '', continue: more } = answer.metadata ?? {};
    return more ? { items, resourceVersion, continue: more } : { items, resourceVersion };
  }

  /** Reads all pages as one consistent list. If the continue token expires (410), it reads the whole list in one request instead. */
  async listAll<T extends KubeObject>(
    resource: Resource<T>,
    options: Selection & CallOptions & { pageSize?: number } = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    const { pageSize = PAGE_SIZE, ...rest } = options;
    const items: T[] = [];
    let next: string | undefined;
    do {
      try {
        const page = await this.list(resource, { ...rest, limit: pageSize, continue: next });
        items.push(...page.items);
        next = page.continue;
        if (!next) return { items, resourceVersion: page.resourceVersion };
      } catch (error) {
        if (!isGone(error) || next === undefined) throw error;
        return await this.list(resource, rest);
      }
    } while (next);
    return { items, resourceVersion: '' };
  }

  /** Streams events after a resourceVersion until the server ends the watch. See openWatch. */
  watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>, void> {
    return openWatch(this.#policy, resource, options);
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    if (resource.namespaced && !object.metadata?.namespace) throw new TypeError(`${resource.kind}: metadata.namespace missing`);
    return this.#call<T>({
      verb: 'create',
      resource,
      method: 'POST',
      path: collectionPath(resource, object.metadata?.namespace),
      query: { fieldManager: options.fieldManager },
      body: withIdentity(resource, object),
      ...timing(options),
    });
  }

  /** Replaces the object. If metadata.resourceVersion is set, it must be the current version (409 otherwise). */
  update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    return this.#call<T>({
      verb: 'update',
      resource,
      method: 'PUT',
      path: objectPath(resource, refOf(object), options.subresource),
      query: { fieldManager: options.fieldManager },
      body: withIdentity(resource, object),
      ...timing(options),
    });
  }

  patch<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, patch: Patch, options: WriteOptions = {}): Promise<T> {
    return this.#call<T>({
      verb: 'patch',
      resource,
      method: 'PATCH',
      path: objectPath(resource, ref, options.subresource),
      query: { fieldManager: options.fieldManager },
      body: patch.patch,
      contentType: PATCH_TYPES[patch.type],
      ...timing(options),
    });
  }

  /** Server-side apply: `object` holds exactly the fields that this manager owns. Creates the object if it does not exist. */
  apply<T extends KubeObject>(resource: Resource<T>, object: Fields<T>, options: ApplyOptions): Promise<T> {
    return this.#call<T>({
      verb: 'apply',
      resource,
      method: 'PATCH',
      path: objectPath(resource, refOf(object as KubeObject), options.subresource),
      query: { fieldManager: options.fieldManager, force: options.force },
      body: withIdentity(resource, object as KubeObject),
      contentType: 'application/apply-patch+yaml',
      ...timing(options),
    });
  }

  /** Requests deletion. An object with finalizers or a grace period is removed later. Throws 404 when it does not exist. */
  async delete(resource: Resource, ref: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    await this.#call({
      verb: 'delete',
      resource,
      method: 'DELETE',
      path: objectPath(resource, ref),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(options.preconditions ? { preconditions: options.preconditions } : {}),
        ...(options.propagation ? { propagationPolicy: options.propagation } : {}),
        ...(options.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: options.gracePeriodSeconds }),
      },
      ...timing(options),
    });
  }

  getScale(resource: Resource, ref: ObjectRef, options: CallOptions = {}): Promise<Scale> {
    return this.#call<Scale>({
      verb: 'get',
      resource,
      method: 'GET',
      path: objectPath(resource, ref, 'scale'),
      ...timing(options),
    });
  }

  /** Sets the desired number of replicas through the scale subresource. */
  setScale(resource: Resource, ref: ObjectRef, replicas: number, options: WriteOptions = {}): Promise<Scale> {
    return this.#call<Scale>({
      verb: 'patch',
      resource,
      method: 'PATCH',
      path: objectPath(resource, ref, 'scale'),
      query: { fieldManager: options.fieldManager },
      body: { spec: { replicas } },
      contentType: PATCH_TYPES.merge,
      ...timing(options),
    });
  }

  /** GETs a path that has no resource descriptor, such as `/version`. */
  getPath<T>(path: string, options: CallOptions = {}): Promise<T> {
    return this.#call<T>({ verb: 'get', method: 'GET', path, ...timing(options) });
  }

  async #call<T>(request: ApiRequest): Promise<T> {
    return await call<T>(this.#policy, request);
  }
}

function timing(options: CallOptions): CallOptions {
  return { signal: options.signal, timeoutMs: options.timeoutMs };
}

function withIdentity(resource: Resource, object: KubeObject): KubeObject {
  // A subresource's body may be of another group than its resource (TokenRequest of a ServiceAccount).
  return { ...object, apiVersion: object.apiVersion ?? apiVersionOf(resource), kind: object.kind ?? resource.kind };
}
