import type { Clock } from '@millrace/service';
import type { HttpRequest, HttpResponse, Transport } from './wire.ts';
import { reset } from './api-answers.ts';
import { ApiConnection } from './api-connection.ts';
import { serve } from './api-requests.ts';
import type { ApiState, ClientConnection, Faults, ServedApi } from './model.ts';
import { graceOf, ObjectStore, type Snapshot, type Stored } from './object-store.ts';
import { WatchStream, type WatchQuery } from './watch-stream.ts';

export interface MemoryApiOptions {
  /** Times in objects, ends of watches and late answers follow it; without it there are none of them. */
  clock?: Clock;
  /** May change or refuse (by throwing an ApiFailure) what is made or changed: defaults and validation. */
  admit?: ApiState['admit'];
}

/**
 * A Kubernetes API in memory that does what a script says, and the one model of it in these tests: list with pages and selectors, watch
 * with bookmarks, get, create (generateName too), update, merge patch, server-side apply with field owners, the status subresource,
 * graceful deletion, finalizers, garbage collection when told. It answers at once and in order unless a fault says otherwise, so that a
 * test with a fake clock decides everything that happens. Each client may have a connection of its own, with faults of its own; what is
 * sent to the API itself goes over the first one. `ApiOnSockets` puts the same behind a real socket.
 */
export class MemoryApi implements Transport, ServedApi, ApiState {
  readonly store: ObjectStore;
  readonly clock: Clock | undefined;
  readonly admit: MemoryApiOptions['admit'];
  /** Requests that are not reads, in order of arrival; `recording = false` keeps none. */
  readonly requests: { method: string; path: string; body: unknown }[] = [];
  recording = true;
  /** Nobody reaches it. */
  isDown = false;
  readonly #connections = new Set<ApiConnection>();
  readonly #first: ApiConnection;

  constructor(options: MemoryApiOptions = {}) {
    const { clock, admit } = options;
    this.clock = clock;
    this.admit = admit;
    this.store = new ObjectStore(clock ? () => clock.wall() : undefined);
    this.store.subscribe((event) => {
      for (const connection of this.#connections) connection.tell(event);
    });
    this.#first = this.connect('');
  }

  /** A client's own way to this API. */
  connect(name: string): ApiConnection {
    const connection = new ApiConnection(this, name);
    this.#connections.add(connection);
    return connection;
  }

  /** For good: a client that is gone. */
  disconnect(connection: ApiConnection): void {
    connection.cutWatches();
    this.#connections.delete(connection);
  }

  send(request: HttpRequest): Promise<HttpResponse> {
    return this.#first.send(request);
  }

  close(): void {
    this.cutWatches();
  }

  get objects(): ReadonlyMap<string, Stored> {
    return this.store.objects;
  }

  get faults(): Faults {
    return this.#first.faults;
  }

  set faults(faults: Faults) {
    this.#first.faults = faults;
  }

  /** Watches are late: they tell nothing until told to go on. */
  set late(late: boolean) {
    for (const connection of this.#connections) connection.late = late;
  }

  get watches(): number {
    return [...this.#connections].reduce((sum, connection) => sum + connection.watches.size, 0);
  }

  /** Ends every watch: as the server does after its timeout, or with an error as a broken connection. */
  cutWatches(error?: Error): void {
    for (const connection of this.#connections) connection.cutWatches(error);
  }

  /** Forgets history, so that watches from earlier versions get 410. */
  compact(): void {
    this.store.compact();
  }

  bookmark(): void {
    for (const connection of this.#connections) for (const watch of connection.watches) watch.bookmark(this.store.version);
  }

  /** Writes as somebody else would, status and all; undefined takes it away at once. */
  put(path: string, change: object | undefined): void {
    if (change) this.store.write(path, change);
    else this.store.remove(path);
  }

  snapshot(): Snapshot {
    return this.store.snapshot();
  }

  /** Restored from a backup: earlier state, lower versions, every connection cut. */
  restore(snapshot: Snapshot): void {
    this.store.restore(snapshot);
    this.cutWatches(reset());
  }

  /** What kube-controller-manager does: deletes objects of which every owner is gone. Returns how many. */
  collectGarbage(): number {
    const uids = new Set([...this.objects.values()].map(({ metadata }) => metadata.uid));
    const orphans = [...this.objects].filter(([, { metadata }]) => {
      const owners = metadata.ownerReferences ?? [];
      return !metadata.deletionTimestamp && owners.length > 0 && owners.every(({ uid }) => !uids.has(uid));
    });
    for (const [path, object] of orphans) this.store.delete(path, graceOf(object));
    return orphans.length;
  }

  serve(request: HttpRequest, connection: ClientConnection): HttpResponse {
    return serve(this, request, connection);
  }

  openWatch(query: WatchQuery, connection: ClientConnection, signal: AbortSignal, timeoutMs: number): WatchStream {
    const stream = new WatchStream(
      query,
      () => connection.isLate(query.collection),
      () => {
        connection.watches.delete(stream);
        signal.removeEventListener('abort', abort);
        this.clock?.clearTimeout(timer);
      },
    );
    const abort = (): void => {
      stream.cut(signal.reason as Error);
    };
    const timer = timeoutMs > 0 ? this.clock?.setTimeout(() => stream.cut(), timeoutMs) : undefined;
    signal.addEventListener('abort', abort, { once: true });
    connection.watches.add(stream);
    for (const event of this.store.eventsAfter(query.from, query.collection)) stream.push(event);
    return stream;
  }
}
