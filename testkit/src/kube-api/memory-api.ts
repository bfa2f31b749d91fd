import type { Clock } from '@millrace/service';
import type { HttpRequest, HttpResponse, Transport } from './wire.ts';
import { reset } from './api-answers.ts';
import { ApiConnection } from './api-connection.ts';
import { serve } from './api-requests.ts';
import type { ApiState, ClientConnection, Faults, ServedApi } from './model.ts';
import { graceOf, ObjectStore, type Snapshot, type Stored } from './object-store.ts';
import { WatchStream, type WatchQuery } from './watch-stream.ts';

export interface MemoryApiOptions {
  /** Drives timestamps, watch timeouts and delayed answers; without it there are none of them. */
  clock?: Clock;
  /** Defaults and validation: may modify an object that is written, or reject it by throwing an ApiFailure. */
  admit?: ApiState['admit'];
}

/**
 * An in-memory Kubernetes API for tests: list with pages and selectors, watch with bookmarks, get, create (with generateName), update,
 * merge patch, server-side apply with field owners, the status subresource, graceful deletion, finalizers, and garbage collection on
 * demand. Without faults it answers at once and in order, so that a test with a fake clock is deterministic. Each client may have its own
 * connection with its own faults; requests to the API object itself use the first connection. `ApiOnSockets` serves it on a real socket.
 */
export class MemoryApi implements Transport, ServedApi, ApiState {
  readonly store: ObjectStore;
  readonly clock: Clock | undefined;
  readonly admit: MemoryApiOptions['admit'];
  /** The write requests in order of arrival; empty when `recording` is false. */
  readonly requests: { method: string; path: string; body: unknown }[] = [];
  recording = true;
  /** While true, connections are refused. */
  isDown = false;
  readonly #connections = new Set<ApiConnection>();
  readonly #first: ApiConnection;

  constructor(options: MemoryApiOptions = {}) {
    const { clock, admit } = options;
    this.clock = clock;
    this.admit = admit;
    this.store = new ObjectStore(clock ? () => clock.wall() : undefined);
    this.store.subscribe((event) => {
      for (const connection of this.#connections) connection.deliver(event);
    });
    this.#first = this.connect('');
  }

  /** Opens a connection for one client. */
  connect(name: string): ApiConnection {
    const connection = new ApiConnection(this, name);
    this.#connections.add(connection);
    return connection;
  }

  /** Closes the connection of a client for good. */
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

  /** While true, the watches of all connections deliver nothing. */
  set late(late: boolean) {
    for (const connection of this.#connections) connection.late = late;
  }

  get watches(): number {
    return [...this.#connections].reduce((sum, connection) => sum + connection.watches.size, 0);
  }

  /** Ends every watch: normally, as the server does after its timeout, or with a connection error. */
  cutWatches(error?: Error): void {
    for (const connection of this.#connections) connection.cutWatches(error);
  }

  /** Compacts the history, so that watches from earlier versions get 410. */
  compact(): void {
    this.store.compact();
  }

  bookmark(): void {
    for (const connection of this.#connections) for (const watch of connection.watches) watch.bookmark(this.store.version);
  }

  /** Writes an object with its status, as another client; undefined removes the object at once. */
  put(path: string, change: object | undefined): void {
    if (change) this.store.write(path, change);
    else this.store.remove(path);
  }

  snapshot(): Snapshot {
    return this.store.snapshot();
  }

  /** Restores a backup: the state and the version counter go back, and every connection is cut. */
  restore(snapshot: Snapshot): void {
    this.store.restore(snapshot);
    this.cutWatches(reset());
  }

  /** Deletes objects whose owners no longer exist, as kube-controller-manager does. Returns their number. */
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
