import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from './client.ts';
import { objectKey, type Fields, type KubeObject, type ManagedFieldsEntry } from './object.ts';
import type { CallOptions } from './request.ts';
import { apiVersionOf, type Resource } from './resources.ts';

export interface Applied<T> {
  object: T;
  /** False when no request was sent because the cache shows that the last apply is still in effect. */
  sent: boolean;
}

interface LastApplied {
  uid: string | undefined;
  resourceVersion: string | undefined;
  desiredJson: string;
  /** This manager's managedFields entry in the server's answer: its fields, and when it last changed one of their values. */
  owned: ManagedFieldsEntry | undefined;
}

/** More objects than any of our controllers applies. Beyond it the oldest entry is dropped, which costs one redundant apply. */
const MAX_REMEMBERED = 20_000;

/**
 * Server-side apply for one controller, under its own field manager. It sends no request when the desired state equals the last one
 * applied and the cached object still has the managedFields entry that the server returned then: another manager that changes one of
 * our fields removes it from our entry (Kubernetes documentation, "Server-Side Apply"). After a restart each object is applied once;
 * an apply that changes nothing creates no new resourceVersion.
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
   * Applies `desired`, which holds exactly the fields that this manager owns. `cached` is the object in the informer's store: if it has
   * been deleted since, the apply fails with a conflict instead of recreating it. Without `cached`, a missing object is created. With
   * subresource status, only `desired.status` is applied.
   */
  async apply<T extends KubeObject>(
    resource: Resource<T>,
    desired: Fields<T>,
    cached: T | undefined,
    options: CallOptions & { subresource?: 'status' } = {},
  ): Promise<Applied<T>> {
    const { subresource } = options;
    const key = `${apiVersionOf(resource)}/${resource.plural}/${objectKey(desired as KubeObject)}#${subresource ?? ''}`;
    const desiredJson = canonical(desired);
    const last = this.#last.get(key);
    if (cached && last && last.desiredJson === desiredJson && isStillApplied(last, cached, this.#owned(cached, subresource))) {
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
      desiredJson,
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

/** The API server treats metadata.uid in an apply as a precondition. */
function sameObject<T extends KubeObject>(desired: Fields<T>, cached: T | undefined): Fields<T> {
  const uid = cached?.metadata?.uid;
  return uid ? { ...desired, metadata: { ...(desired as KubeObject).metadata, uid } } : desired;
}

function isStillApplied(last: LastApplied, cached: KubeObject, owned: ManagedFieldsEntry | undefined): boolean {
  if (cached.metadata?.uid !== last.uid) return false;
  const { fieldsV1, time } = last.owned ?? {};
  // An API server restored from a backup reuses resourceVersions, so they are compared only where there are no managedFields.
  if (fieldsV1 === undefined) return cached.metadata?.resourceVersion === last.resourceVersion;
  // The entry's time changes when this manager changes a value, which reveals a late apply of a former leader.
  return owned?.time === time && isDeepStrictEqual(owned?.fieldsV1, fieldsV1);
}

/** JSON with sorted keys, so that equal objects give equal strings. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
