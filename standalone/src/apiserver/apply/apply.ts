import type { JsonObject } from '@millrace/api/validation';
import { isObject } from '@millrace/api/validation';
import type { ApplyOptions } from '../context.ts';
import type { KubeObject, ManagedFieldsEntry } from '../object.ts';
import { asJson, fromJson, kubeTime } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { apiVersionOf } from '../resource-type.ts';
import type { StatusCause } from '../status.ts';
import { StatusError, badRequest, conflict, invalidObject, notFound, staleObject } from '../status.ts';
import { decodeObject } from '../write/decode.ts';
import { identityErrors } from '../write/metadata.ts';
import { checkPlace, needName } from '../write/writer.ts';
import type { Target, Writer, Written } from '../write/writer.ts';
import type { FieldSet } from './field-set.ts';
import {
  compare,
  difference,
  emptySet,
  fieldsOf,
  fromFieldsV1,
  intersection,
  isEmpty,
  pathsOf,
  showPath,
  union,
} from './field-set.ts';
import { ownable, withFields } from './managed-fields.ts';
import { listProblem, mergeApplied, removeAbandoned } from './merge.ts';
import { toFieldsV1 } from './field-set.ts';

/** Server-side apply: creates the object or merges the configuration into it, and records who owns which field. */
export async function applyObject(writer: Writer, target: Target, body: unknown, options: ApplyOptions): Promise<Written> {
  const { type } = target;
  const manager = options.manager;
  if (!manager) {
    throw invalidObject({ group: 'meta.k8s.io', plural: 'patchoptions', kind: 'PatchOptions' }, '', [
      { reason: 'FieldValueRequired', field: 'fieldManager', message: 'Required value: is required for apply patch' },
    ]);
  }
  if (!isObject(body) || !body['apiVersion'] || !body['kind'])
    throw badRequest('apiVersion and kind must be set in what is applied');
  const { object: config, warnings } = decodeObject(type, body, options);
  checkConfig(target, config);
  const [unknown] = type.prune(structuredClone(body));
  if (unknown !== undefined) throw untyped(target, `.${unknown}: field not declared in schema`);
  const time = kubeTime(writer.context.wall());
  const door = target.subresource;
  const wanted = ownable(type, config, door);
  if (!door && type.subresources.includes('status')) delete wanted['status'];
  const fields = Object.keys(wanted).length > 0 ? fieldsOf(wanted, type.schema) : emptySet();
  const own: ManagedFieldsEntry = {
    manager,
    operation: 'Apply',
    apiVersion: apiVersionOf(type),
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(fields),
  };
  if (door) own.subresource = door;
  const live = writer.latest(target);
  if (!live) return createApplied(writer, target, config, own, options, warnings);
  checkVersion(target, config, live);

  const entries = live.metadata.managedFields ?? [entryBeforeFirstApply(type, live)];
  const mine = entries.find((entry) => entry.operation === 'Apply' && entry.manager === manager && entry.subresource === door);
  const others = entries.filter((entry) => entry !== mine);
  const kept = others.reduce((set, entry) => union(set, fromFieldsV1(entry.fieldsV1)), fields);
  const last = mine ? fromFieldsV1(mine.fieldsV1) : emptySet();
  // Metadata is never removed as a whole, since only part of it is applied.
  const keptWithMetadata = union(kept, fromFieldsV1({ 'f:metadata': {} }));
  const applied = mergeApplied(asJson(live), wanted, type.schema);
  const merged = removeAbandoned(applied, last, keptWithMetadata, type.schema) as JsonObject;
  const { changed, removed } = compare(ownable(type, live, door), ownable(type, fromJson(merged), door), type.schema);
  if (!options.force) refuseConflicts(others, changed);
  const managed = [
    ...others.flatMap((entry) => withFields(entry, difference(difference(fromFieldsV1(entry.fieldsV1), changed), removed))),
    ...(isEmpty(fields) ? [] : [own]),
  ];
  const object = await writer.replace(target, fromJson(merged), live, options, managed);
  return { object, created: false, warnings };
}

/** For an object without managed fields, all its fields belong to the manager that created it. */
function entryBeforeFirstApply(type: ResourceType, live: KubeObject): ManagedFieldsEntry {
  return {
    manager: 'before-first-apply',
    operation: 'Update',
    apiVersion: apiVersionOf(type),
    time: live.metadata.creationTimestamp,
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(fieldsOf(ownable(type, live, undefined), type.schema)),
  };
}

function checkConfig({ type, name, namespace }: Target, config: KubeObject): void {
  const { metadata } = config;
  if (metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  checkPlace({ type, name, namespace }, config);
  needName({ type, name, namespace }, config);
  const problem = listProblem(asJson(config), type.schema);
  if (problem) throw untyped({ type, name, namespace }, problem);
}

/** Fields that do not match the schema cannot have owners, so they are refused whatever fieldValidation says. */
function untyped({ type, name, namespace }: Target, problem: string): StatusError {
  const object = `${namespace ? `${namespace}/` : ''}${name}; ${apiVersionOf(type)}, Kind=${type.kind}`;
  return new StatusError(422, 'Invalid', `failed to create typed patch object (${object}): ${problem}`);
}

async function createApplied(
  writer: Writer,
  target: Target,
  config: KubeObject,
  own: ManagedFieldsEntry,
  options: ApplyOptions,
  warnings: string[],
): Promise<Written> {
  const { type, name } = target;
  if (target.subresource) throw notFound(type, name);
  if (config.metadata.uid)
    throw conflict(
      type,
      name,
      `uid mismatch: the provided object specified uid ${config.metadata.uid}, and no existing object was found`,
    );
  if (config.metadata.resourceVersion)
    throw conflict(type, name, 'the object was to be updated at a resourceVersion, and no existing object was found');
  const object = writer.prepareNew(target, { ...config, metadata: { ...config.metadata, name } }, options, [own]);
  return { object: await writer.store({ ...target, name }, object, undefined, options), created: true, warnings };
}

function checkVersion({ type, name }: Target, { metadata: sent }: KubeObject, { metadata: live }: KubeObject): void {
  const identity = identityErrors(sent, live);
  if (identity.length > 0) throw invalidObject(type, name, identity);
  if (sent.resourceVersion && sent.resourceVersion !== live.resourceVersion) throw staleObject(type, name);
}

function refuseConflicts(others: ManagedFieldsEntry[], changed: FieldSet): void {
  const conflicts = others
    .map((entry) => ({
      who: describeOwner(entry),
      paths: [...pathsOf(intersection(fromFieldsV1(entry.fieldsV1), changed))].map(showPath),
    }))
    .filter(({ paths }) => paths.length > 0)
    .sort((a, b) => (a.who < b.who ? -1 : 1));
  const causes: StatusCause[] = conflicts.flatMap(({ who, paths }) =>
    paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${who}`, field })),
  );
  if (causes.length === 0) return;
  const message =
    causes.length === 1
      ? `Apply failed with 1 conflict: ${causes[0]?.message}: ${causes[0]?.field}`
      : `Apply failed with ${causes.length} conflicts: ${conflicts
          .map(({ who, paths }) => `conflicts with ${who}:\n${paths.map((path) => `- ${path}`).join('\n')}`)
          .join('\n')}`;
  throw new StatusError(409, 'Conflict', message, { causes });
}

/** Owners as kube-apiserver names them: appliers by name, updaters with the version through which they wrote. */
function describeOwner({ manager, subresource, apiVersion, operation }: ManagedFieldsEntry): string {
  const door = subresource ? ` with subresource ${JSON.stringify(subresource)}` : '';
  return `${JSON.stringify(manager)}${door}${operation === 'Update' ? ` using ${apiVersion}` : ''}`;
}
