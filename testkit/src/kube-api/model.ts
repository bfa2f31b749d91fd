import type { Clock } from '@millrace/service';
import type { ObjectStore, Stored } from './object-store.ts';
import type { HttpRequest, HttpResponse } from './wire.ts';
import type { WatchQuery, WatchStream } from './watch-stream.ts';

/**
 * What happens to one request: no connection comes about (`refuse`); it breaks before the server sees the request, or after the server did
 * the work; the server never answers, without or with the work done; it answers with an error; or it does the work later, even when the
 * client has given up by then.
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
  /** Asked once for each request. */
  fail?: ((request: HttpRequest) => Outcome | undefined) | undefined;
  /** Maximum number of objects in a page; default: what the request asks for. */
  pageSize?: number;
}

/** A client's connection, as the API sees it. */
export interface ClientConnection {
  readonly name: string;
  readonly watches: Set<WatchStream>;
  readonly faults: Faults;
  /** Whether watches of this collection deliver nothing for now. */
  isLate(collection: string): boolean;
}

/** The API as a connection sees it. */
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
  /** May change an object that is created or changed, or refuse it by throwing an ApiFailure. */
  readonly admit: ((path: string, object: Stored, old: Stored | undefined) => void) | undefined;
  readonly requests: { method: string; path: string; body: unknown }[];
  readonly recording: boolean;
  openWatch(query: WatchQuery, connection: ClientConnection, signal: AbortSignal, timeoutMs: number): WatchStream;
}
