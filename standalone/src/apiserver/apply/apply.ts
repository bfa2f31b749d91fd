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
import { checkPlace } from '../write/writer.ts';
import type { Target, Writer, Written } from '../write/writer.ts';
import type { FieldSet } from './field-set.ts';
import {
  below,
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
import { listProblem, mergeApplied, removePath } from './merge.ts';
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

  const entries = live.metadata.managedFields ?? [];
  const mine = entries.find((entry) => entry.operation === 'Apply' && entry.manager === manager && entry.subresource === door);
  const others = entries.filter((entry) => entry !== mine);
  const merged = removeAbandoned(mergeApplied(asJson(live), wanted, type.schema) as JsonObject, type, mine, fields, others);
  const changed = intersection(
    compare(ownable(type, live, door), ownable(type, fromJson(merged), door), type.schema).changed,
    fields,
  );
  if (!options.force) refuseConflicts(others, changed);
  const managed = [
    ...others.flatMap((entry) => withFields(entry, difference(fromFieldsV1(entry.fieldsV1), changed))),
    ...(isEmpty(fields) ? [] : [own]),
  ];
  const object = await writer.replace(target, fromJson(merged), live, options, managed);
  return { object, created: false, warnings };
}

function checkConfig({ type, name, namespace }: Target, config: KubeObject): void {
  const { metadata } = config;
  if (metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  checkPlace({ type, name, namespace }, config);
  const problem = listProblem(asJson(config), type.schema);
  if (problem) {
    const object = `${namespace ? `${namespace}/` : ''}${name}; ${apiVersionOf(type)}, Kind=${type.kind}`;
    throw new StatusError(422, 'Invalid', `failed to create typed patch object (${object}): ${problem}`);
  }
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

/** Takes out what this manager applied before, applies no longer, and nobody else owns. */
function removeAbandoned(
  merged: JsonObject,
  type: ResourceType,
  mine: ManagedFieldsEntry | undefined,
  fields: FieldSet,
  others: ManagedFieldsEntry[],
): JsonObject {
  if (!mine) return merged;
  const otherwiseOwned = others.reduce((set, entry) => union(set, fromFieldsV1(entry.fieldsV1)), emptySet());
  let result = merged;
  for (const path of pathsOf(difference(fromFieldsV1(mine.fieldsV1), fields))) {
    if (below(otherwiseOwned, path) || below(fields, path)) continue;
    result = (removePath(result, path, type.schema) ?? {}) as JsonObject;
  }
  return result;
}

function refuseConflicts(others: ManagedFieldsEntry[], changed: FieldSet): void {
  const conflicts = others.flatMap((entry) => {
    const paths = [...pathsOf(intersection(fromFieldsV1(entry.fieldsV1), changed))].map(showPath);
    return paths.length > 0 ? [{ who: describeOwner(entry), paths }] : [];
  });
  if (conflicts.length === 0) return;
  const causes: StatusCause[] = conflicts.flatMap(({ who, paths }) =>
    paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${who}`, field })),
  );
  const lines = conflicts.map(({ who, paths }) =>
    paths.length === 1
      ? `conflict with ${who}: ${paths[0]}`
      : `conflicts with ${who}:\n${paths.map((path) => `- ${path}`).join('\n')}`,
  );
  const noun = causes.length === 1 ? 'conflict' : 'conflicts';
  throw new StatusError(409, 'Conflict', `Apply failed with ${causes.length} ${noun}: ${lines.join('\n')}`, { causes });
}

/** Owners as kube-apiserver names them: appliers by name, updaters with the version through which they wrote. */
function describeOwner({ manager, subresource, apiVersion, operation }: ManagedFieldsEntry): string {
  const door = subresource ? ` with subresource ${JSON.stringify(subresource)}` : '';
  return `${JSON.stringify(manager)}${door}${operation === 'Update' ? ` using ${apiVersion}` : ''}`;
}
