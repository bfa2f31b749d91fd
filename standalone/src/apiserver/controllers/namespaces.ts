import { builtinTypes, crdType } from '../builtin/types.ts';
import { crdCleanupFinalizer } from '../crds/crd-controller.ts';
import type { KubeObject } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { storageKey } from '../resource-type.ts';
import type { StoreEvent } from '../storage/store.ts';
import { deleteObject } from '../write/delete.ts';
import { isReleased } from '../write/writer.ts';
import type { ControllerContext } from './context.ts';

const initial = ['default', 'kube-system', 'kube-node-lease'];
const options = { fieldManager: 'millrace-standalone', dryRun: false, fieldValidation: 'Ignore' as const };
const find = (plural: string) => builtinTypes.find((type) => type.plural === plural) as ResourceType;

/** Gives each namespace its default ServiceAccount, and empties namespaces and CRDs that are being deleted before they go. */
export async function startNamespaceController(context: ControllerContext): Promise<() => void> {
  const { store, writer, retries } = context;
  const stop = store.subscribe((event) => {
    if (event.resource === '/namespaces' && event.type !== 'DELETED')
      retries.run('namespace', () => settleNamespace(context, event.object));
    else if (event.resource === storageKey(crdType) && event.type !== 'DELETED')
      retries.run('CRD', () => settleCrd(context, event.object));
    else if (event.type === 'DELETED') retries.run('namespace or CRD', () => resume(context, event));
  });
  for (const name of initial) {
    const target = { type: find('namespaces'), namespace: '', name };
    if (!writer.latest(target)) await writer.create(target, { metadata: { name } }, options);
  }
  for (const namespace of store.list('/namespaces')) await settleNamespace(context, namespace);
  for (const crd of store.list(storageKey(crdType))) await settleCrd(context, crd);
  return stop;
}

/** After a deletion: continues the deletion of the namespace or CRD that waited for it. */
async function resume(context: ControllerContext, { object, resource }: StoreEvent): Promise<void> {
  const namespace = context.store.latest('/namespaces', '', object.metadata.namespace ?? '');
  if (namespace?.metadata.deletionTimestamp) await settleNamespace(context, namespace);
  const crd = context.store
    .list(storageKey(crdType))
    .find(
      (candidate) =>
        `${candidate.metadata.name.split('.').slice(1).join('.')}/${candidate.metadata.name.split('.')[0]}` === resource,
    );
  if (crd?.metadata.deletionTimestamp) await settleCrd(context, crd);
}

async function settleNamespace(context: ControllerContext, namespace: KubeObject): Promise<void> {
  const { store, writer, registry } = context;
  const { name } = namespace.metadata;
  if (!namespace.metadata.deletionTimestamp) {
    const target = { type: find('serviceaccounts'), namespace: name, name: 'default' };
    if (!writer.latest(target)) await writer.create(target, { metadata: { name: 'default' } }, options);
    return;
  }
  const types = registry.resources().filter((type) => type.namespaced && !type.virtual);
  const left = await deleteAll(context, types, (object) => object.metadata.namespace === name);
  const latest = store.latest('/namespaces', '', name);
  if (left > 0 || !latest?.metadata.deletionTimestamp) return;
  const emptied: KubeObject = { ...latest, spec: { ...latest.spec, finalizers: [] } };
  await (isReleased(emptied) ? store.remove('/namespaces', emptied) : store.put('/namespaces', emptied));
}

async function settleCrd(context: ControllerContext, crd: KubeObject): Promise<void> {
  const { store, registry } = context;
  const key = storageKey(crdType);
  const latest = store.latest(key, '', crd.metadata.name);
  if (!latest) return;
  const finalizers = latest.metadata.finalizers ?? [];
  if (!latest.metadata.deletionTimestamp) {
    if (finalizers.includes(crdCleanupFinalizer)) return;
    await store.put(key, { ...latest, metadata: { ...latest.metadata, finalizers: [...finalizers, crdCleanupFinalizer] } });
    return;
  }
  const types = registry.resources().filter((type) => `${type.plural}.${type.group}` === crd.metadata.name);
  if ((await deleteAll(context, types, () => true)) > 0 || !finalizers.includes(crdCleanupFinalizer)) return;
  const metadata = { ...latest.metadata, finalizers: finalizers.filter((finalizer) => finalizer !== crdCleanupFinalizer) };
  const released = { ...latest, metadata };
  await (isReleased(released) ? store.remove(key, released) : store.put(key, released));
}

/** Deletes all matching objects; returns how many remain, held by finalizers or grace periods. */
async function deleteAll(
  { store, writer, logger }: ControllerContext,
  types: ResourceType[],
  matches: (object: KubeObject) => boolean,
): Promise<number> {
  let left = 0;
  for (const type of types) {
    for (const object of store.list(storageKey(type)).filter(matches)) {
      const { namespace = '', name, deletionTimestamp } = object.metadata;
      if (!store.latest(storageKey(type), namespace, name)) continue;
      if (deletionTimestamp) left++;
      else {
        const outcome = await deleteObject(
          writer,
          { type, namespace, name },
          { dryRun: false, propagationPolicy: 'Background' },
        ).catch((error: unknown) => {
          logger.debug({ err: error, kind: type.kind, name }, 'cannot delete yet');
          return undefined;
        });
        if (outcome && !outcome.removed) left++;
      }
    }
  }
  return left;
}
