import { KubeError } from '../errors.ts';
import { applyFields, ownersAfterUpdate } from './field-ownership.ts';
import type { ManagedFieldsEntry } from '../object.ts';
import type { HttpRequest, HttpResponse, Transport } from '../transport.ts';

interface Stored {
  metadata: { name: string; namespace?: string; uid: string; resourceVersion: string; [field: string]: unknown };
  [field: string]: unknown;
}

interface Watcher {
  collection: string;
  push: (event: object) => void;
  cut: (error?: Error) => void;
  wake: () => void;
}

/** What befalls requests; each is asked once a request. */
export interface Faults {
  /**
   * No connection comes about; or it breaks before the server sees it, or after it did the work; or it never answers, without or with
   * the work done; or the server answers with this.
   */
  fail?: (
    request: HttpRequest,
  ) => 'refuse' | 'before' | 'after' | 'stall' | 'stallAfter' | { code: number; reason: string; message: string } | undefined;
  /** Objects in a page at most; default what the request asks for. */
  pageSize?: number;
}

/**
 * A Kubernetes API of one process in memory: get, list with pages, watch, create, update with optimistic concurrency, merge patch, apply
 * with field owners, delete (held by finalizers), the status subresource; no schema, no defaults, no garbage collection. It answers at once and in order, so that a test with a fake clock decides everything that happens.
 */
export class MemoryApi implements Transport {
  readonly objects = new Map<string, Stored>();
  readonly requests: { method: string; path: string; body: unknown }[] = [];
  faults: Faults = {};
  #version = 100;
  #compactedTo = 0;
  #late = false;
  readonly #history: { version: number; collection: string; event: object }[] = [];
  readonly #watchers = new Set<Watcher>();

  async send(request: HttpRequest): Promise<HttpResponse> {
    request.signal.throwIfAborted();
    request.beforeSend?.();
    const fault = this.faults.fail?.(request);
    if (fault === 'refuse') throw KubeError.local('ConnectionFailed', 'connection refused');
    if (fault === 'stall') return await never(request.signal);
    if (fault === 'before') throw Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
    if (typeof fault === 'object') return failure(fault.code, fault.reason, fault.message);
    const url = new URL(request.path, 'http://api');
    const body: unknown = request.body === undefined ? undefined : JSON.parse(request.body);
    if (request.method !== 'GET') this.requests.push({ method: request.method, path: url.pathname, body });
    const answer = this.#route(request, url, body as Stored);
    if (fault === 'stallAfter') return await never(request.signal);
    if (fault === 'after') throw Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
    return answer;
  }

  close(): void {
    this.cutWatches();
  }

  /** Ends every watch: as the server does after its timeout, or with an error as a broken connection. */
  cutWatches(error?: Error): void {
    for (const watcher of [...this.#watchers]) watcher.cut(error);
  }

  get watches(): number {
    return this.#watchers.size;
  }

  /** Watches are late: they tell nothing until told to go on. */
  set late(late: boolean) {
    this.#late = late;
    for (const watcher of this.#watchers) watcher.wake();
  }

  /** Forgets history, so that watches from earlier versions get 410. */
  compact(): void {
    this.#compactedTo = this.#version;
  }

  /** Writes as somebody else would; undefined deletes. */
  put(path: string, change: object | undefined): void {
    const old = this.objects.get(path);
    const { collection, name, namespace } = parts(path);
    if (!change) {
      if (old) this.#remove(path, old);
      return;
    }
    const version = `${++this.#version}`;
    const given = (change as Partial<Stored>).metadata;
    const metadata: Stored['metadata'] & { managedFields?: ManagedFieldsEntry[] } = {
      ...given,
      name,
      ...(namespace ? { namespace } : {}),
      uid: old?.metadata.uid ?? `uid-${version}`,
      resourceVersion: version,
    };
    const object: Stored = { ...change, metadata };
    if (old && isFreed(object)) return this.#remove(path, object);
    const owners = old && ownersAfterUpdate(old, object);
    if (owners) metadata.managedFields = owners;
    this.objects.set(path, object);
    this.#emit(collection, old ? 'MODIFIED' : 'ADDED', object);
  }

  #apply(path: string, body: Stored, manager: string, subresource: string): HttpResponse {
    const stored = this.objects.get(path);
    const { uid } = body.metadata as Partial<Stored['metadata']>;
    if (uid && uid !== stored?.metadata.uid) return failure(409, 'Conflict');
    if (!stored && subresource) return failure(404, 'NotFound');
    const { collection, name, namespace } = parts(path);
    const version = `${this.#version + 1}`;
    const empty = { metadata: { name, ...(namespace ? { namespace } : {}), uid: `uid-${version}`, resourceVersion: version } };
    const { apiVersion, kind } = body;
    const next = applyFields<Stored>(stored ?? { apiVersion, kind, ...empty }, body, manager, subresource, version);
    if (next === stored) return success(stored);
    this.#version++;
    next.metadata.resourceVersion = version;
    this.objects.set(path, next);
    this.#emit(collection, stored ? 'MODIFIED' : 'ADDED', next);
    return success(next, stored ? 200 : 201);
  }

  #remove(path: string, old: Stored): void {
    this.objects.delete(path);
    this.#emit(parts(path).collection, 'DELETED', {
      ...old,
      metadata: { ...old.metadata, resourceVersion: `${++this.#version}` },
    });
  }

  #emit(collection: string, type: string, object: Stored): void {
    const event = structuredClone({ type, object });
    this.#history.push({ version: this.#version, collection, event });
    for (const watcher of this.#watchers) if (within(collection, watcher.collection)) watcher.push(event);
  }

  #route(request: HttpRequest, url: URL, body: Stored | undefined): HttpResponse {
    const query = url.searchParams;
    const subresource = url.pathname.endsWith('/status') ? 'status' : '';
    const path = subresource ? url.pathname.slice(0, -'/status'.length) : url.pathname;
    const named = parts(path).named;
    if (request.headers['content-type'] === 'application/apply-patch+yaml') {
      return this.#apply(path, body!, query.get('fieldManager') ?? '', subresource);
    }
    if (request.method === 'GET' && query.get('watch')) return this.#watch(request, path, Number(query.get('resourceVersion')));
    if (request.method === 'GET' && !named) return this.#list(path, query);
    const stored = this.objects.get(path);
    if (request.method === 'POST') {
      const target = `${path}/${body?.metadata.name}`;
      if (this.objects.has(target)) return failure(409, 'AlreadyExists');
      this.put(target, body);
      return success(this.objects.get(target), 201);
    }
    if (!stored) return failure(404, 'NotFound');
    if (request.method === 'GET') return success(stored);
    const wanted = (request.method === 'DELETE' ? (body as { preconditions?: object }).preconditions : body?.metadata) ?? {};
    const { uid, resourceVersion } = wanted as { uid?: string; resourceVersion?: string };
    if ((uid && uid !== stored.metadata.uid) || (resourceVersion && resourceVersion !== stored.metadata.resourceVersion)) {
      return failure(409, 'Conflict');
    }
    if (request.method === 'DELETE') {
      const deletionTimestamp = stored.metadata['deletionTimestamp'] ?? '2030-01-01T00:00:00Z';
      this.put(path, { ...stored, metadata: { ...stored.metadata, deletionTimestamp } });
      return success({});
    }
    this.put(path, request.method === 'PATCH' ? (merged(stored, body) as Stored) : body);
    return success(this.objects.get(path) ?? {});
  }

  #list(path: string, query: URLSearchParams): HttpResponse {
    const limit = this.faults.pageSize ?? (Number(query.get('limit')) || Infinity);
    const [version = `${this.#version}`, from = '0'] = query.get('continue')?.split(':') ?? [];
    if (Number(version) < this.#compactedTo) return failure(410, 'Expired');
    const all = [...this.objects].filter(([key]) => within(parts(key).collection, path)).map(([, object]) => object);
    const next = Number(from) + limit;
    // Pages of one list show one state; where that is gone, the list has expired.
    if (query.get('continue') && version !== `${this.#version}`) return failure(410, 'Expired');
    const metadata = { resourceVersion: version, ...(next < all.length ? { continue: `${version}:${next}` } : {}) };
    return success({ metadata, items: all.slice(Number(from), next) });
  }

  #watch(request: HttpRequest, collection: string, from: number): HttpResponse {
    if (from < this.#compactedTo) return failure(410, 'Expired');
    const pending: object[] = this.#history
      .filter((entry) => entry.version > from && within(entry.collection, collection))
      .map(({ event }) => event);
    let ended: { error?: Error | undefined } | undefined;
    let wake: (() => void) | undefined;
    const watcher: Watcher = {
      collection,
      push: (event) => {
        pending.push(event);
        wake?.();
      },
      cut: (error) => {
        ended ??= { error };
        this.#watchers.delete(watcher);
        wake?.();
      },
      wake: () => wake?.(),
    };
    const late = (): boolean => this.#late;
    this.#watchers.add(watcher);
    request.signal.addEventListener('abort', () => watcher.cut(request.signal.reason as Error), { once: true });
    async function* stream(): AsyncGenerator<Uint8Array, void> {
      try {
        for (;;) {
          while (pending.length > 0 && !late() && !ended?.error) yield Buffer.from(`${JSON.stringify(pending.shift())}\n`);
          if (ended?.error) throw ended.error;
          if (ended) return;
          await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        watcher.cut();
      }
    }
    return { status: 200, headers: {}, body: stream() };
  }
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

/** Deleted, and nothing holds it any more. */
function isFreed({ metadata }: Stored): boolean {
  const finalizers = metadata['finalizers'] as string[] | undefined;
  return metadata['deletionTimestamp'] !== undefined && !finalizers?.length;
}

/** `/api/v1/namespaces/ns/pods/a` is `a` of the collection `/api/v1/namespaces/ns/pods`. */
function parts(path: string): { collection: string; name: string; namespace?: string; named: boolean } {
  const segments = path.split('/').slice(1);
  const root = segments[0] === 'api' ? 2 : 3;
  const namespace = segments[root] === 'namespaces' && segments.length > root + 2 ? segments[root + 1] : undefined;
  const named = segments.length > root + (namespace ? 3 : 1);
  const name = named ? segments[segments.length - 1]! : '';
  return { collection: named ? path.slice(0, path.lastIndexOf('/')) : path, name, named, ...(namespace ? { namespace } : {}) };
}

/** A collection lies within itself and, when namespaced, within that of all namespaces. */
function within(collection: string, wider: string): boolean {
  return collection === wider || collection.replace(/\/namespaces\/[^/]+/, '') === wider;
}

function success(value: unknown, status = 200): HttpResponse {
  return { status, headers: {}, body: once(JSON.stringify(value)) };
}

function failure(code: number, reason: string, message = reason): HttpResponse {
  return { status: code, headers: {}, body: once(JSON.stringify({ kind: 'Status', code, reason, message })) };
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

async function* once(text: string): AsyncGenerator<Uint8Array, void> {
  yield Buffer.from(text);
}
