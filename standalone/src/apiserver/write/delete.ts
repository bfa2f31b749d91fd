import type { KubeObject } from '../object.ts';
import { kubeTime } from '../object.ts';
import { storageKey } from '../resource-type.ts';
import { conflict, forbiddenRequest, notFound } from '../status.ts';
import type { Target, Writer } from './writer.ts';

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun: boolean;
}

/** Namespaces that cannot be deleted (admission plugin NamespaceLifecycle). */
const lasting = new Set(['default', 'kube-system', 'kube-public']);

/**
 * Deletes one object: at once when nothing holds it, otherwise by marking it (finalizers, a pod's grace period, a namespace's content).
 * Returns the marked object, or `removed`.
 */
export async function deleteObject(
  writer: Writer,
  target: Target,
  options: DeleteOptions,
): Promise<{ removed: boolean; object: KubeObject }> {
  const { type } = target;
  const object = writer.latest(target);
  if (!object) throw notFound(type, target.name);
  checkPreconditions(target, object, options);
  if (type.group === '' && type.plural === 'namespaces' && lasting.has(target.name))
    throw forbiddenRequest(type, target.name, 'this namespace may not be deleted');
  const marked = mark(object, options, writer.context.wall());
  if (marked === 'unchanged') return { removed: false, object };
  if (options.dryRun) return marked === 'release' ? { removed: true, object } : { removed: false, object: marked };
  if (marked === 'release') return { removed: true, object: await writer.context.store.remove(storageKey(type), object) };
  return { removed: false, object: await writer.context.store.put(storageKey(type), marked) };
}

function checkPreconditions({ type, name }: Target, { metadata }: KubeObject, { preconditions }: DeleteOptions): void {
  if (preconditions?.uid && preconditions.uid !== metadata.uid) {
    throw conflict(
      type,
      name,
      `Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${metadata.uid}`,
    );
  }
  if (preconditions?.resourceVersion && preconditions.resourceVersion !== metadata.resourceVersion) {
    const why = `Precondition failed: ResourceVersion in precondition: ${preconditions.resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`;
    throw conflict(type, name, why);
  }
}

function mark(object: KubeObject, options: DeleteOptions, nowMs: number): KubeObject | 'release' | 'unchanged' {
  const finalizers = new Set(object.metadata.finalizers);
  const before = finalizers.size;
  if (options.propagationPolicy === 'Orphan') finalizers.add('orphan');
  if (!object.metadata.deletionTimestamp && options.propagationPolicy === 'Foreground') finalizers.add('foregroundDeletion');
  const grace = graceSeconds(object, options);
  const heldBySpec = object.kind === 'Namespace';
  if (finalizers.size === 0 && grace === 0 && !heldBySpec) return 'release';
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, generation } = object.metadata;
  if (deletionTimestamp && grace >= deletionGracePeriodSeconds) {
    return finalizers.size === before
      ? 'unchanged'
      : { ...object, metadata: { ...object.metadata, finalizers: [...finalizers] } };
  }
  const metadata = {
    ...object.metadata,
    deletionTimestamp: kubeTime(nowMs + grace * 1000),
    deletionGracePeriodSeconds: grace,
    ...(generation !== undefined ? { generation: generation + 1 } : {}),
    ...(finalizers.size ? { finalizers: [...finalizers] } : {}),
  };
  const status = heldBySpec ? { ...object.status, phase: 'Terminating' } : object.status;
  return { ...object, metadata, ...(status ? { status } : {}) };
}

/** Only pods on a node end gracefully; their agent deletes them with grace 0 once their processes are gone. */
function graceSeconds(object: KubeObject, options: DeleteOptions): number {
  const phase = object.status?.['phase'];
  if (object.kind !== 'Pod' || !object.spec?.['nodeName'] || phase === 'Succeeded' || phase === 'Failed') return 0;
  const own = object.spec['terminationGracePeriodSeconds'];
  return options.gracePeriodSeconds ?? (typeof own === 'number' ? own : 30);
}
