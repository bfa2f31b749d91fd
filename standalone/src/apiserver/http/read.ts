import type { KubeObject } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { apiVersionOf, storageKey } from '../resource-type.ts';
import type { Predicate } from '../selectors.ts';
import { parseFieldSelector, parseLabelSelector } from '../selectors.ts';
import { badRequest, expired, timeoutTooLargeVersion } from '../status.ts';
import type { Store } from '../storage/store.ts';

export interface ListResult {
  items: readonly KubeObject[];
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
}
interface Continue {
  revision: number;
  after: number;
}

/** The objects of a request: its namespace, its selectors, its name when it has one. */
export function selection(type: ResourceType, namespace: string, name: string, query: URLSearchParams): Predicate {
  const tests: Predicate[] = [];
  if (namespace) tests.push((object) => object.metadata.namespace === namespace);
  if (name) tests.push((object) => object.metadata.name === name);
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

/** Lists in pages. Later pages come from the snapshot that the first one saw, as long as that is kept; then 410. */
export class Lister {
  readonly #store: Store;
  readonly #snapshots = new Map<string, readonly KubeObject[]>();
  readonly #maxSnapshots: number;

  constructor(store: Store, maxSnapshots = 64) {
    this.#store = store;
    this.#maxSnapshots = maxSnapshots;
  }

  list(type: ResourceType, predicate: Predicate, query: URLSearchParams): ListResult {
    const limit = wholeNumber(query, 'limit');
    const token = query.get('continue');
    const start = token ? decodeContinue(token) : { revision: this.#checkVersion(query), after: 0 };
    const all = token ? this.#snapshot(type, start.revision) : this.#store.list(storageKey(type));
    const items: KubeObject[] = [];
    let index = start.after;
    for (; index < all.length && (!limit || items.length < limit); index++) {
      const object = all[index];
      if (object && predicate(object)) items.push(shownAs(type, object));
    }
    const metadata: ListResult['metadata'] = { resourceVersion: String(start.revision) };
    const remaining = limit ? all.slice(index).filter(predicate).length : 0;
    if (remaining > 0) {
      metadata.continue = Buffer.from(JSON.stringify({ v: 1, rv: start.revision, after: index })).toString('base64url');
      if (!query.get('labelSelector') && !query.get('fieldSelector')) metadata.remainingItemCount = remaining;
      this.#keep(type, start.revision, all);
    }
    return { items, metadata };
  }

  #checkVersion(query: URLSearchParams): number {
    const current = this.#store.revision;
    const asked = wholeNumber(query, 'resourceVersion') ?? 0;
    if (asked > current) throw timeoutTooLargeVersion(asked, current);
    if (query.get('resourceVersionMatch') === 'Exact' && asked !== current) {
      throw expired(`The resourceVersion for the provided list is too old: ${asked}, only ${current} is kept`);
    }
    return current;
  }

  #snapshot(type: ResourceType, revision: number): readonly KubeObject[] {
    const snapshot = this.#snapshots.get(`${storageKey(type)}@${revision}`);
    if (!snapshot)
      throw expired(
        'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.',
      );
    return snapshot;
  }

  #keep(type: ResourceType, revision: number, all: readonly KubeObject[]): void {
    const key = `${storageKey(type)}@${revision}`;
    this.#snapshots.delete(key);
    this.#snapshots.set(key, all);
    const oldest = this.#snapshots.keys().next().value;
    if (this.#snapshots.size > this.#maxSnapshots && oldest !== undefined) this.#snapshots.delete(oldest);
  }
}

function decodeContinue(token: string): Continue {
  try {
    const { v, rv, after } = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as Record<string, unknown>;
    if (v === 1 && typeof rv === 'number' && typeof after === 'number') return { revision: rv, after };
  } catch {
    // Told below, with the wording for any token that is not ours.
  }
  throw badRequest('continue key is not valid');
}

/** A query parameter that must be a whole number; undefined when absent or empty. Throws 400. */
export function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name}: Invalid value: ${JSON.stringify(text)}: must be a whole number`);
  return Number(text);
}
