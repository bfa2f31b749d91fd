import type { KubeObject } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { apiVersionOf, storageKey } from '../resource-type.ts';
import type { Predicate } from '../selectors.ts';
import { parseFieldSelector, parseLabelSelector } from '../selectors.ts';
import { StatusError, badRequest, continueExpired, timeoutTooLargeVersion } from '../status.ts';
import type { Store } from '../storage/store.ts';
import { objectId } from '../storage/store.ts';
import type { ListOptions } from './options.ts';

export interface ListResult {
  items: readonly KubeObject[];
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
}

/** Where a list continues: after the object `after`, at `revision`; undefined: in the newest state, consistent or not. */
interface Continue {
  revision: number | undefined;
  after: string;
}

/** The objects of a request: its namespace and its selectors. */
export function selection(type: ResourceType, namespace: string, query: URLSearchParams): Predicate {
  const tests: Predicate[] = [];
  if (namespace) tests.push((object) => object.metadata.namespace === namespace);
  const labels = query.get('labelSelector');
  if (labels) tests.push(parseLabelSelector(labels));
  const fields = query.get('fieldSelector');
  const always = { 'metadata.name': ['metadata', 'name'], 'metadata.namespace': ['metadata', 'namespace'] };
  if (fields) tests.push(parseFieldSelector(fields, { ...always, ...type.fieldSelectors }));
  return (object) => tests.every((test) => test(object));
}

/** Objects as one API version shows them: versions of a resource differ only in apiVersion (conversion strategy None). */
export function shownAs(type: ResourceType, object: KubeObject): KubeObject {
  const apiVersion = apiVersionOf(type);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** Throws 504 with the cause that makes clients retry. */
export function checkNotFuture(store: Store, asked: number | undefined): void {
  if (asked !== undefined && asked > store.revision) throw timeoutTooLargeVersion(asked, store.revision);
}

/** One page of a list. All pages of a list have the same revision, as far back as the store's history reaches; before that 410. */
export function listObjects(
  store: Store,
  type: ResourceType,
  predicate: Predicate,
  options: ListOptions & { selects: boolean },
): ListResult {
  checkNotFuture(store, options.resourceVersion);
  const from = options.continueToken ? decodeContinue(options.continueToken) : undefined;
  const revision = from ? from.revision : options.match === 'Exact' ? options.resourceVersion : undefined;
  const all = listAt(store, type, revision, from);
  const { limit } = options;
  const items: KubeObject[] = [];
  let index = from ? all.findIndex((object) => objectId(object) > from.after) : 0;
  for (; index >= 0 && index < all.length && (!limit || items.length < limit); index++) {
    const object = all[index];
    if (object && predicate(object)) items.push(shownAs(type, object));
  }
  const metadata: ListResult['metadata'] = { resourceVersion: String(revision ?? store.revision) };
  const last = items.at(-1);
  const remaining = limit && last && index >= 0 ? all.slice(index).filter(predicate).length : 0;
  if (last && remaining > 0) {
    metadata.continue = encodeContinue({ revision: revision ?? store.revision, after: objectId(last) });
    if (!options.selects) metadata.remainingItemCount = remaining;
  }
  return { items, metadata };
}

function listAt(
  store: Store,
  type: ResourceType,
  revision: number | undefined,
  from: Continue | undefined,
): readonly KubeObject[] {
  if (revision === undefined) return store.list(storageKey(type));
  try {
    return store.listAt(storageKey(type), revision);
  } catch (error) {
    if (!from || !(error instanceof StatusError)) throw error;
    // The client may start again, or continue in the newest state with an inconsistent list.
    throw continueExpired(encodeContinue({ ...from, revision: undefined }));
  }
}

const encodeContinue = ({ revision, after }: Continue) =>
  Buffer.from(JSON.stringify({ v: 1, rv: revision ?? -1, after })).toString('base64url');

function decodeContinue(token: string): Continue {
  try {
    const { v, rv, after } = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as Record<string, unknown>;
    if (v === 1 && typeof rv === 'number' && typeof after === 'string') return { revision: rv < 0 ? undefined : rv, after };
  } catch {
    // Reported below, with the message for any invalid token.
  }
  throw badRequest('continue key is not valid');
}
