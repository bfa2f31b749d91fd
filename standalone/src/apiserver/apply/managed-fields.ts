import type { JsonObject } from '@millrace/api/validation';
import type { KubeObject, ManagedFieldsEntry } from '../object.ts';
import { asJson } from '../object.ts';
import type { ResourceType, Subresource } from '../resource-type.ts';
import { apiVersionOf } from '../resource-type.ts';
import type { FieldSet } from './field-set.ts';
import { compare, difference, emptySet, fromFieldsV1, isEmpty, toFieldsV1, union } from './field-set.ts';

export interface Actor {
  manager: string;
  /** metav1.Time of the change. */
  time: string;
  subresource?: Subresource;
}
/** Maximum number of update entries; older ones are merged into one, as kube-apiserver does. */
const maxUpdateEntries = 10;
const unownedMetadata =
  'name generateName namespace uid resourceVersion generation creationTimestamp deletionTimestamp deletionGracePeriodSeconds selfLink managedFields'.split(
    ' ',
  );

/** The part of an object whose fields have owners: all except its identity and the fields that the server writes. */
export function ownable(type: ResourceType, object: KubeObject, subresource: Subresource | undefined): JsonObject {
  if (subresource === 'status') return object.status === undefined ? {} : { status: object.status };
  const content: JsonObject = { ...asJson(object) };
  delete content['apiVersion'];
  delete content['kind'];
  if (!type.keepsStatusOnCreate) delete content['status'];
  const metadata: JsonObject = { ...(content['metadata'] as JsonObject) };
  for (const field of unownedMetadata) delete metadata[field];
  if (Object.keys(metadata).length > 0) content['metadata'] = metadata;
  else delete content['metadata'];
  return content;
}

/** The parts that every object has without an owner: metadata, and for built-in kinds the structs that are not pointers in Go. */
function bareObject(type: ResourceType, subresource: Subresource | undefined): JsonObject {
  if (subresource === 'status') return type.custom ? {} : { status: {} };
  if (type.custom) return { metadata: {} };
  return { metadata: {}, ...(type.schema.properties?.['spec'] ? { spec: type.kind === 'Pod' ? { containers: [] } : {} } : {}) };
}

/** The entries after an update: the updater owns what it changed, and removed fields have no owner. */
export function trackUpdate(
  type: ResourceType,
  old: KubeObject | undefined,
  next: KubeObject,
  actor: Actor,
  sent?: ManagedFieldsEntry[],
): ManagedFieldsEntry[] {
  // A list of one empty entry clears all of them ("Server-Side Apply": clearing managedFields); such an update is not tracked.
  if (sent?.length === 1 && sent[0] && Object.keys(sent[0]).length === 0) return [];
  const base = old ? (sent ?? old.metadata.managedFields ?? []) : [];
  if (old && base.length === 0) return []; // not tracked until somebody applies
  const subresource = actor.subresource;
  const before = { ...bareObject(type, subresource), ...(old ? ownable(type, old, subresource) : {}) };
  const after = { ...bareObject(type, subresource), ...ownable(type, next, subresource) };
  const { changed, removed } = compare(before, after, type.schema);
  if (isEmpty(changed) && isEmpty(removed)) return base;
  const apiVersion = apiVersionOf(type);
  const isOwn = (entry: ManagedFieldsEntry) =>
    entry.operation === 'Update' &&
    entry.manager === actor.manager &&
    entry.apiVersion === apiVersion &&
    entry.subresource === subresource;
  const own = base.find(isOwn);
  const owned = union(difference(own ? fromFieldsV1(own.fieldsV1) : emptySet(), removed), changed);
  const others = base
    .filter((entry) => entry !== own)
    .flatMap((entry) => withFields(entry, difference(difference(fromFieldsV1(entry.fieldsV1), removed), changed)));
  if (isEmpty(owned)) return others;
  const entry: ManagedFieldsEntry = {
    manager: actor.manager,
    operation: 'Update',
    apiVersion,
    time: actor.time,
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(owned),
  };
  if (subresource) entry.subresource = subresource;
  return foldOldUpdates([...others, entry]);
}

/** The entry with another set of fields; none when the set is empty. */
export function withFields(entry: ManagedFieldsEntry, fields: FieldSet): ManagedFieldsEntry[] {
  return isEmpty(fields) ? [] : [{ ...entry, fieldsV1: toFieldsV1(fields) }];
}

function foldOldUpdates(entries: ManagedFieldsEntry[]): ManagedFieldsEntry[] {
  const updates = entries.filter((entry) => entry.operation === 'Update' && !entry.subresource);
  if (updates.length <= maxUpdateEntries) return entries;
  const oldest = new Set(
    [...updates].sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? -1 : 1)).slice(0, updates.length - maxUpdateEntries + 1),
  );
  const fields = [...oldest].reduce((set, entry) => union(set, fromFieldsV1(entry.fieldsV1)), emptySet());
  const [first] = oldest;
  const folded = first ? [{ ...first, manager: 'ancient-changes', fieldsV1: toFieldsV1(fields) }] : [];
  return [...folded, ...entries.filter((entry) => !oldest.has(entry))];
}

export function entriesWithoutTimes(entries: ManagedFieldsEntry[] | undefined): ManagedFieldsEntry[] {
  return (entries ?? []).map((entry) => ({ ...entry, time: undefined }));
}
