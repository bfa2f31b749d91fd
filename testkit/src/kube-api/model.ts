import type { Clock } from '@millrace/service';
import type { ObjectStore, Stored } from './object-store.ts';
import type { HttpRequest, HttpResponse } from './wire.ts';
import type { WatchQuery, WatchStream } from './watch-stream.ts';

/**
 * The fault of one request. `refuse`: the connection is refused. `before`, `after`: it is reset before or after the server executes the
 * request. `stall`, `stallAfter`: the server never answers, without or after executing it. Otherwise the server answers with an error, or
 * executes the request after a delay, even if the client has given up by then.
 */
export type Outcome =
  | 'refuse'
  | 'before'
  | 'after'
  | 'stall'
  | 'stallAfter'
  | { code: number; reason: string; message?: string; retryAfterSeconds?: number }
  | { delayMs: number; lose?: boolean };

/** Faults of one client's connection. */
export interface Faults {
  /** Called once per request; returns its fault, if any. */
  fail?: ((request: HttpRequest) => Outcome | undefined) | undefined;
  /** The maximum number of objects in a page; default: the limit of the request. */
  pageSize?: number;
}

/** A client's connection as seen by the API. */
export interface ClientConnection {
  readonly name: string;
  readonly watches: Set<WatchStream>;
  readonly faults: Faults;
  /** Whether watches of this collection deliver nothing at the moment. */
  isLate(collection: string): boolean;
}

/** The API as seen by a connection. */
export interface ServedApi {
  readonly clock: Clock | undefined;
  readonly isDown: boolean;
  serve(request: HttpRequest, connection: ClientConnection): HttpResponse;
}

/** The state that requests read and change. */
export interface ApiState {
  readonly store: ObjectStore;
  readonly objects: ReadonlyMap<string, Stored>;
  readonly clock: Clock | undefined;
  /** May modify an object that is written, or reject it by throwing an ApiFailure. */
  readonly admit: ((path: string, object: Stored, old: Stored | undefined) => void) | undefined;
  readonly requests: { method: string; path: string; body: unknown }[];
  readonly recording: boolean;
  openWatch(query: WatchQuery, connection: ClientConnection, signal: AbortSignal, timeoutMs: number): WatchStream;
}
