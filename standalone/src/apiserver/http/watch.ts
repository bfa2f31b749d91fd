import { randomInt } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { apiVersionOf, storageKey } from '../resource-type.ts';
import type { Predicate } from '../selectors.ts';
import { StatusError } from '../status.ts';
import type { Store, StoreEvent } from '../storage/store.ts';
import type { ListOptions } from './options.ts';
import { checkNotFuture, shownAs } from './read.ts';

const bookmarkIntervalMs = 60_000;
/** Timers hold no more than 2^31 ms, and fire at once beyond that. */
const maxTimeoutMs = 24 * 3600_000;
/** A watcher that leaves this much unread is cut off: it lists anew. */
const maxUnreadBytes = 8 * 1024 * 1024;

export interface WatchOptions extends ListOptions {
  predicate: Predicate;
  /** How one object is put into an event (plain, Table or partial metadata). */
  render: (object: KubeObject, isFirst: boolean) => object;
}

/** Serves a watch until it times out, the client leaves or reads too slowly. Returns how to end it. */
export function serveWatch(store: Store, type: ResourceType, response: ServerResponse, options: WatchOptions): () => void {
  const { predicate, bookmarks, sendInitialEvents } = options;
  const asked = options.resourceVersion ?? 0;
  checkNotFuture(store, asked);
  const timeoutMs = Math.min((options.timeoutSeconds || 1800 + randomInt(1800)) * 1000, maxTimeoutMs);
  const writer = new EventWriter(type, response, options.render);
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache, private' });
  response.flushHeaders();

  const deliver = (event: StoreEvent) => {
    if (event.resource !== storageKey(type)) return;
    const seen = seenAs(event, predicate);
    if (seen) writer.write(seen.type, seen.object);
  };
  try {
    if (sendInitialEvents || (asked === 0 && sendInitialEvents === undefined))
      for (const object of store.list(storageKey(type))) if (predicate(object)) writer.write('ADDED', object);
    if (sendInitialEvents) writer.bookmark(store.revision, true);
    else if (asked > 0) for (const event of store.eventsSince(storageKey(type), asked)) deliver(event);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    // A watch that has begun tells its failures as events, as kube-apiserver does with a version that it has forgotten.
    response.end(`${JSON.stringify({ type: 'ERROR', object: error.toJSON() })}\n`);
    return () => undefined;
  }
  const unsubscribe = store.subscribe(deliver);
  const every = Math.min(bookmarkIntervalMs, Math.max(timeoutMs - 2000, 500));
  const bookmarkTimer = bookmarks ? setInterval(() => writer.bookmark(store.revision), every) : undefined;
  const stop = () => {
    unsubscribe();
    clearInterval(bookmarkTimer);
    clearTimeout(timeout);
    response.end();
  };
  const timeout = setTimeout(() => {
    if (bookmarks) writer.bookmark(store.revision);
    stop();
  }, timeoutMs);
  response.on('close', stop);
  response.on('error', stop);
  return stop;
}

/** Writes events as lines; cuts off a client that does not read them. */
class EventWriter {
  readonly #type: ResourceType;
  readonly #response: ServerResponse;
  readonly #render: WatchOptions['render'];
  #sent = 0;

  constructor(type: ResourceType, response: ServerResponse, render: WatchOptions['render']) {
    this.#type = type;
    this.#response = response;
    this.#render = render;
  }

  write(type: StoreEvent['type'], object: KubeObject): void {
    this.#line({ type, object: this.#render(shownAs(this.#type, object), this.#sent++ === 0) });
  }

  bookmark(revision: number, endsInitial = false): void {
    const annotations = endsInitial ? { 'k8s.io/initial-events-end': 'true' } : undefined;
    const metadata = { resourceVersion: String(revision), creationTimestamp: null, annotations };
    this.#line({ type: 'BOOKMARK', object: { kind: this.#type.kind, apiVersion: apiVersionOf(this.#type), metadata } });
  }

  #line(event: object): void {
    if (this.#response.destroyed) return;
    this.#response.write(`${JSON.stringify(event)}\n`);
    if (this.#response.writableLength > maxUnreadBytes) this.#response.destroy();
  }
}

/**
 * What a watcher with a selector sees of an event: an object that stops matching is gone for it, one that starts is new. One that is gone is
 * shown as it was last seen, under the version of its going.
 */
function seenAs({ type, object, previous }: StoreEvent, predicate: Predicate): Pick<StoreEvent, 'type' | 'object'> | undefined {
  const was = previous !== undefined && predicate(previous);
  const is = type !== 'DELETED' && predicate(object);
  if (was && is) return { type: 'MODIFIED', object };
  if (is) return { type: 'ADDED', object };
  if (!was) return undefined;
  const { resourceVersion } = object.metadata;
  return { type: 'DELETED', object: { ...previous, metadata: { ...previous.metadata, resourceVersion } } };
}
