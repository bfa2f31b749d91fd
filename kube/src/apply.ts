import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from './client.ts';
import { objectKey, type Fields, type KubeObject, type ManagedFieldsEntry } from './object.ts';
import type { CallOptions } from './request.ts';
import { apiVersionOf, type Resource } from './resources.ts';

export interface Applied<T> {
  object: T;
  /** False when nothing was sent because the cache shows that what was applied last still stands. */
  sent: boolean;
}

interface LastApplied {
  uid: string | undefined;
  resourceVersion: string | undefined;
  desired: string;
  /** Which fields the server said that this manager owns, and since when with these values. */
  owned: ManagedFieldsEntry | undefined;
}

/** More objects than any of our controllers applies; beyond it the oldest are applied once more than needed. */
const MAX_REMEMBERED = 20_000;

/**
 * Server-side apply for one controller, under its own field manager, that sends only what would change something. Nothing is sent when
 * the wish equals the one applied last AND the cached object still shows our ownership as the server recorded it then: whoever changes
 * a field of ours takes it from our managedFields entry (Kubernetes documentation, "Server-Side Apply"). After a restart each object
 * is applied once; an apply without effect makes no new version.
 */
export class Applier {
  readonly #client: KubeClient;
  readonly #fieldManager: string;
  readonly #last = new Map<string, LastApplied>();

  constructor(client: KubeClient, fieldManager: string) {
    this.#client = client;
    this.#fieldManager = fieldManager;
  }

  /**
   * Applies `desired`, which holds exactly the fields this manager wants. `cached` is what the informer shows: that very object is
   * meant, so what was deleted meanwhile is not made anew but a conflict. Without it, the object is created if need be. With subresource
   * status, only `desired.status` counts.
   */
  async apply<T extends KubeObject>(
    resource: Resource<T>,
    desired: Fields<T>,
    cached: T | undefined,
    options: CallOptions & { subresource?: 'status' } = {},
  ): Promise<Applied<T>> {
    const { subresource } = options;
    const key = `${apiVersionOf(resource)}/${resource.plural}/${objectKey(desired as KubeObject)}#${subresource ?? ''}`;
    const wish = canonical(desired);
    const last = this.#last.get(key);
    if (cached && last && last.desired === wish && stands(last, cached, this.#owned(cached, subresource))) {
      return { object: cached, sent: false };
    }
    this.#last.delete(key);
    const object = await this.#client.apply(resource, sameObject(desired, cached), {
      ...options,
      fieldManager: this.#fieldManager,
      force: true,
    });
    this.#remember(key, {
      uid: object.metadata?.uid,
      resourceVersion: object.metadata?.resourceVersion,
      desired: wish,
      owned: this.#owned(object, subresource),
    });
    return { object, sent: true };
  }

  #owned(object: KubeObject, subresource: string | undefined): ManagedFieldsEntry | undefined {
    return object.metadata?.managedFields?.find(
      (entry) =>
        entry.manager === this.#fieldManager && entry.operation === 'Apply' && (entry.subresource ?? '') === (subresource ?? ''),
    );
  }

  #remember(key: string, applied: LastApplied): void {
    this.#last.set(key, applied);
    if (this.#last.size > MAX_REMEMBERED) this.#last.delete(this.#last.keys().next().value!);
  }
}

/** metadata.uid in an apply is a precondition. */
function sameObject<T extends KubeObject>(desired: Fields<T>, cached: T | undefined): Fields<T> {
  const uid = cached?.metadata?.uid;
  return uid ? { ...desired, metadata: { ...(desired as KubeObject).metadata, uid } } : desired;
}

function stands(last: LastApplied, cached: KubeObject, owned: ManagedFieldsEntry | undefined): boolean {
  if (cached.metadata?.uid !== last.uid) return false;
  const { fieldsV1, time } = last.owned ?? {};
  // An API restored from a backup gives versions out again, so that they are not believed where there is better.
  if (fieldsV1 === undefined) return cached.metadata?.resourceVersion === last.resourceVersion;
  // The time moves when this manager changes a value: a former leader's apply that came late is seen by it.
  return owned?.time === time && isDeepStrictEqual(owned?.fieldsV1, fieldsV1);
}

/** JSON with sorted keys, so that equal wishes are equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
