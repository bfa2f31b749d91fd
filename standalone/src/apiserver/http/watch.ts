import { randomInt } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { ResourceType } from '../resource-type.ts';
import { storageKey } from '../resource-type.ts';
import type { Predicate } from '../selectors.ts';
import { StatusError } from '../status.ts';
import type { Store, StoreEvent } from '../storage/store.ts';
import type { ListOptions } from './options.ts';
import { checkNotFuture } from './read.ts';
import type { Render } from './watch-stream.ts';
import { WatchStream } from './watch-stream.ts';

const bookmarkIntervalMs = 60_000;
/** Maximum delay of a timer; with longer ones Node's timers fire at once. */
const maxTimeoutMs = 24 * 3600_000;

export interface WatchOptions extends ListOptions {
  predicate: Predicate;
  render: Render;
}

/** Serves a watch until it times out or the client disconnects or reads too slowly. Returns a function that ends it. */
export function serveWatch(store: Store, type: ResourceType, response: ServerResponse, options: WatchOptions): () => void {
  const { predicate, bookmarks, sendInitialEvents, resourceVersion: asked = 0 } = options;
  checkNotFuture(store, asked);
  const timeoutMs = Math.min((options.timeoutSeconds || 1800 + randomInt(1800)) * 1000, maxTimeoutMs);
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache, private' });
  response.flushHeaders();
  const stream = new WatchStream(type, response, options.render);
  const resource = storageKey(type);
  try {
    if (sendInitialEvents || (asked === 0 && sendInitialEvents === undefined))
      stream.begin(store.list(resource).flatMap((object) => (predicate(object) ? [{ type: 'ADDED' as const, object }] : [])));
    if (sendInitialEvents) stream.bookmark(store.revision, true);
    else if (asked > 0) stream.begin(store.eventsSince(resource, asked).flatMap((event) => seenAs(event, predicate)));
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    stream.fail(error);
    return () => undefined;
  }
  const unsubscribe = store.subscribe((event) => {
    if (event.resource === resource) for (const seen of seenAs(event, predicate)) stream.change(seen.type, seen.object);
  });
  const every = Math.min(bookmarkIntervalMs, Math.max(timeoutMs - 2000, 500));
  const bookmarkTimer = bookmarks ? setInterval(() => stream.bookmark(store.revision), every) : undefined;
  const stop = () => {
    unsubscribe();
    clearInterval(bookmarkTimer);
    clearTimeout(timeout);
    stream.end();
  };
  const timeout = setTimeout(() => {
    if (bookmarks) stream.bookmark(store.revision);
    stop();
  }, timeoutMs);
  response.on('close', stop);
  response.on('error', stop);
  return stop;
}

/**
 * What a watcher with a selector sees of an event: an object that stops matching is DELETED for it, one that starts is ADDED. A DELETED
 * object is shown in its last matching state, with the resourceVersion of the change.
 */
function seenAs({ type, object, previous }: StoreEvent, predicate: Predicate): Pick<StoreEvent, 'type' | 'object'>[] {
  const was = previous !== undefined && predicate(previous);
  const is = type !== 'DELETED' && predicate(object);
  if (was && is) return [{ type: 'MODIFIED', object }];
  if (is) return [{ type: 'ADDED', object }];
  if (!was) return [];
  const { resourceVersion } = object.metadata;
  return [{ type: 'DELETED', object: { ...previous, metadata: { ...previous.metadata, resourceVersion } } }];
}
