import type { KubeObject, OwnerReference } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { storageKey } from '../resource-type.ts';
import type { StoreEvent } from '../storage/store.ts';
import { deleteObject } from '../write/delete.ts';
import { isReleased } from '../write/writer.ts';
import type { ControllerContext } from './context.ts';

/**
 * Deletes objects that have lost all their owners (background), and carries out the `foregroundDeletion` and `orphan` finalizers.
 * An owner is gone when no object of its kind has its uid. Owners of kinds that are not served are never considered gone.
 */
export function startGarbageCollector(context: ControllerContext): () => void {
  const { store, retries } = context;
  let last: Promise<unknown> = Promise.resolve();
  // Runs the steps one after the other, so that each sees the result of the previous one.
  const enqueue = (step: () => Promise<void>) =>
    retries.run('garbage collection', () => {
      const mine = last.then(step);
      last = mine.catch(() => undefined);
      return mine;
    });
  const judge = (resource: string, object: KubeObject) => enqueue(() => settle(context, resource, object));
  const stop = store.subscribe((event) => observe(context, event, judge));
  for (const type of context.registry.resources()) {
    for (const object of store.list(storageKey(type))) if (needsCare(object)) judge(storageKey(type), object);
  }
  return stop;
}

const needsCare = ({ metadata }: KubeObject) => Boolean(metadata.ownerReferences?.length || metadata.deletionTimestamp);

function observe(context: ControllerContext, event: StoreEvent, judge: (resource: string, object: KubeObject) => void): void {
  const { object, resource, type } = event;
  if (type === 'DELETED') {
    for (const [where, dependent] of dependentsOf(context, object.metadata.uid)) judge(where, dependent);
    for (const owner of object.metadata.ownerReferences ?? []) {
      const found = findOwner(context, owner, object.metadata.namespace ?? '');
      if (found && found !== 'unknown' && found.object.metadata.deletionTimestamp) judge(found.resource, found.object);
    }
  } else if (needsCare(object)) judge(resource, object);
}

function dependentsOf({ store, registry }: ControllerContext, uid: string): [string, KubeObject][] {
  return registry.resources().flatMap((type) =>
    store
      .list(storageKey(type))
      .filter((object) => object.metadata.ownerReferences?.some((owner) => owner.uid === uid))
      .map((object): [string, KubeObject] => [storageKey(type), object]),
  );
}

function findOwner(
  { store, registry }: ControllerContext,
  owner: OwnerReference,
  namespace: string,
): { resource: string; object: KubeObject } | 'unknown' | undefined {
  const type = registry.byKind(owner.apiVersion, owner.kind);
  if (!type) return 'unknown';
  const object = store.latest(storageKey(type), type.namespaced ? namespace : '', owner.name);
  return object?.metadata.uid === owner.uid ? { resource: storageKey(type), object } : undefined;
}

async function settle(context: ControllerContext, resource: string, seen: KubeObject): Promise<void> {
  const { store, writer, registry } = context;
  const { namespace = '', name, uid } = seen.metadata;
  const object = store.latest(resource, namespace, name);
  if (object?.metadata.uid !== uid) return;
  const { deletionTimestamp, finalizers = [], ownerReferences = [] } = object.metadata;
  const type = registry.resources().find((candidate) => storageKey(candidate) === resource) as ResourceType;
  if (deletionTimestamp && finalizers.includes('orphan')) return orphanDependents(context, resource, object);
  if (deletionTimestamp && finalizers.includes('foregroundDeletion')) return deleteForeground(context, resource, object);
  if (deletionTimestamp || ownerReferences.length === 0) return;
  const present = ownerReferences.filter((owner) => findOwner(context, owner, namespace) !== undefined);
  if (present.length === 0) await deleteObject(writer, { type, namespace, name }, { dryRun: false, preconditions: { uid } });
}

async function orphanDependents(context: ControllerContext, resource: string, owner: KubeObject): Promise<void> {
  for (const [where, dependent] of dependentsOf(context, owner.metadata.uid)) {
    const { ownerReferences = [], ...metadata } = dependent.metadata;
    const left = ownerReferences.filter(({ uid }) => uid !== owner.metadata.uid);
    await context.store.put(where, {
      ...dependent,
      metadata: left.length > 0 ? { ...metadata, ownerReferences: left } : metadata,
    });
  }
  await dropFinalizer(context, resource, owner, 'orphan');
}

async function deleteForeground(context: ControllerContext, resource: string, owner: KubeObject): Promise<void> {
  const { uid } = owner.metadata;
  const dependents = dependentsOf(context, uid);
  for (const [where, { metadata }] of dependents) {
    const type = context.registry.resources().find((candidate) => storageKey(candidate) === where);
    if (!type || metadata.deletionTimestamp) continue;
    await deleteObject(
      context.writer,
      { type, namespace: metadata.namespace ?? '', name: metadata.name },
      { dryRun: false, propagationPolicy: 'Background' },
    );
  }
  const blocking = dependentsOf(context, uid).filter(([, { metadata }]) =>
    metadata.ownerReferences?.some((ref) => ref.uid === uid && ref.blockOwnerDeletion),
  );
  if (blocking.length === 0) await dropFinalizer(context, resource, owner, 'foregroundDeletion');
}

async function dropFinalizer(
  { store }: ControllerContext,
  resource: string,
  { metadata }: KubeObject,
  finalizer: string,
): Promise<void> {
  const latest = store.latest(resource, metadata.namespace ?? '', metadata.name);
  if (latest?.metadata.uid !== metadata.uid) return;
  const released = {
    ...latest,
    metadata: { ...latest.metadata, finalizers: latest.metadata.finalizers?.filter((name) => name !== finalizer) },
  };
  await (isReleased(released) ? store.remove(resource, released) : store.put(resource, released));
}
