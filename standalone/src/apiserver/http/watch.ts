import { randomInt } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { apiVersionOf, storageKey } from '../resource-type.ts';
import type { Predicate } from '../selectors.ts';
import type { StatusError } from '../status.ts';
import { invalidObject, timeoutTooLargeVersion } from '../status.ts';
import type { Store, StoreEvent } from '../storage/store.ts';
import { shownAs, wholeNumber } from './read.ts';

const bookmarkIntervalMs = 60_000;
/** Timers hold no more than 2^31 ms, and fire at once beyond that. */
const maxTimeoutMs = 24 * 3600_000;
/** A watcher that leaves this much unread is cut off: it lists anew. */
const maxUnreadBytes = 8 * 1024 * 1024;

export interface WatchOptions {
  predicate: Predicate;
  query: URLSearchParams;
  /** How one object is put into an event (plain, Table or partial metadata). */
  render: (object: KubeObject, isFirst: boolean) => object;
  contentType: string;
}

/** Serves a watch until it times out, the client leaves or reads too slowly. Throws before the first byte only. */
export function serveWatch(store: Store, type: ResourceType, response: ServerResponse, options: WatchOptions): () => void {
  const { query, predicate } = options;
  const wantsInitial = query.get('sendInitialEvents') === 'true';
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  checkInitialEvents(type, query, wantsInitial, bookmarks);
  const asked = wholeNumber(query, 'resourceVersion') ?? 0;
  if (asked > store.revision) throw timeoutTooLargeVersion(asked, store.revision);
  const timeoutMs = Math.min((wholeNumber(query, 'timeoutSeconds') || 1800 + randomInt(1800)) * 1000, maxTimeoutMs);
  const fromNow = asked === 0 || wantsInitial;
  const backlog = fromNow ? [] : store.eventsSince(storageKey(type), asked);
  const initial = fromNow ? store.list(storageKey(type)).filter(predicate) : [];

  response.writeHead(200, { 'Content-Type': options.contentType, 'Cache-Control': 'no-cache, private' });
  response.flushHeaders();
  let sent = 0;
  const write = (line: object) => {
    response.write(`${JSON.stringify(line)}\n`);
    if (response.writableLength > maxUnreadBytes) response.destroy();
  };
  const send = (event: string, object: KubeObject) =>
    write({ type: event, object: options.render(shownAs(type, object), sent++ === 0) });
  const bookmark = (endsInitial = false) =>
    write({ type: 'BOOKMARK', object: bookmarkObject(type, store.revision, endsInitial) });
  const deliver = (event: StoreEvent) => {
    if (event.resource !== storageKey(type)) return;
    const seen = visibleAs(event, predicate);
    if (seen) send(seen, event.object);
  };

  for (const object of initial) send('ADDED', object);
  if (wantsInitial) bookmark(true);
  for (const event of backlog) deliver(event);
  const unsubscribe = store.subscribe(deliver);
  const bookmarkTimer = bookmarks
    ? setInterval(bookmark, Math.min(bookmarkIntervalMs, Math.max(timeoutMs - 2000, 500)))
    : undefined;
  const stop = () => {
    unsubscribe();
    clearInterval(bookmarkTimer);
    clearTimeout(timeout);
    response.end();
  };
  const timeout = setTimeout(() => {
    if (bookmarks) bookmark();
    stop();
  }, timeoutMs);
  response.on('close', stop);
  response.on('error', stop);
  return stop;
}

function checkInitialEvents(type: ResourceType, query: URLSearchParams, wantsInitial: boolean, bookmarks: boolean): void {
  const match = query.get('resourceVersionMatch');
  if (wantsInitial && (match !== 'NotOlderThan' || !bookmarks)) {
    const detail = 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan and allowWatchBookmarks';
    throw invalidObject({ group: 'meta.k8s.io', plural: 'listoptions', kind: 'ListOptions' }, type.plural, [
      { reason: 'FieldValueForbidden', field: 'sendInitialEvents', message: `Forbidden: ${detail}` },
    ]);
  }
}

function bookmarkObject(type: ResourceType, revision: number, endsInitial: boolean): object {
  const annotations = endsInitial ? { 'k8s.io/initial-events-end': 'true' } : undefined;
  return {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    metadata: { resourceVersion: String(revision), creationTimestamp: null, annotations },
  };
}

/** What a watcher with a selector sees of an event: an object that stops matching is gone for it, one that starts is new. */
function visibleAs(event: StoreEvent, predicate: Predicate): StoreEvent['type'] | undefined {
  const was = event.previous !== undefined && predicate(event.previous);
  const is = event.type !== 'DELETED' && predicate(event.object);
  if (was && is) return 'MODIFIED';
  if (was) return 'DELETED';
  return is ? 'ADDED' : undefined;
}

/** A watch error as an event, for clients whose stream has begun. */
export function errorEvent(error: StatusError): object {
  return { type: 'ERROR', object: error.toJSON() };
}
