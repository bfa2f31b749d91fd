import type { JsonObject } from '@millrace/api/validation';
import { dropNulls, isObject, pruneUnknown, validateSchema } from '@millrace/api/validation';
import { metadataSchema } from '../builtin/schemas.ts';
import type { KubeObject } from '../object.ts';
import { checkDepth, fromJson } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { apiVersionOf } from '../resource-type.ts';
import { StatusError, badRequest } from '../status.ts';

/** Unknown or duplicate fields under fieldValidation=Strict. */
export class StrictDecodingError extends StatusError {}

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

/**
 * Decodes a request body as an object of `type`. Drops unknown fields and reports them according to `fieldValidation`. Throws 400 when the
 * body is of another kind or, under Strict, has an unknown field.
 */
export function decodeObject(
  type: ResourceType,
  body: unknown,
  { fieldValidation, duplicates = [] }: { fieldValidation: FieldValidation; duplicates?: readonly string[] },
): { object: KubeObject; warnings: string[] } {
  if (!isObject(body)) throw badRequest('the body must be a JSON or YAML object');
  checkDepth(body); // a patch can nest deeper than its own text
  const object = structuredClone(body);
  const wanted = apiVersionOf(type);
  object['apiVersion'] ??= wanted;
  object['kind'] ??= type.kind;
  if (object['apiVersion'] !== wanted || object['kind'] !== type.kind) {
    throw badRequest(
      `${JSON.stringify(object['kind'])} in ${JSON.stringify(object['apiVersion'])} does not match what this path serves: ${type.kind} in ${wanted}`,
    );
  }
  const metadata = (object['metadata'] ??= {});
  if (!isObject(metadata))
    throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: metadata must be an object`);
  checkStringMaps(type, metadata);
  // Metadata and built-in kinds are decoded into Go types, where null counts as absent.
  dropNulls(object, type.custom ? { type: 'object', properties: { metadata: metadataSchema } } : type.schema);
  checkMetadataTypes(type, metadata);
  const unknown = [...(type.custom ? pruneUnknown(metadata, metadataSchema, 'metadata') : []), ...type.prune(object)];
  const problems = [
    ...duplicates.map((path) => `duplicate field "${path}"`),
    ...unknown.map((path) => `unknown field "${path}"`),
  ];
  if (problems.length > 0 && fieldValidation === 'Strict') {
    const where = `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}`;
    throw new StrictDecodingError(400, 'BadRequest', `${where}: strict decoding error: ${problems.join(', ')}`);
  }
  return { object: fromJson(object), warnings: fieldValidation === 'Warn' ? problems : [] };
}

function checkMetadataTypes(type: ResourceType, metadata: JsonObject): void {
  const unfit = validateSchema(metadata, metadataSchema, 'metadata').find(({ reason }) => reason === 'FieldValueTypeInvalid');
  if (unfit)
    throw badRequest(
      `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${unfit.field}: ${unfit.message}`,
    );
}

/** Metadata is typed even for custom resources: a label that is not a string is a malformed request, not an invalid object. */
function checkStringMaps(type: ResourceType, metadata: JsonObject): void {
  for (const field of ['labels', 'annotations']) {
    const map = metadata[field];
    if (map === undefined || map === null) continue;
    if (isObject(map)) for (const [key, value] of Object.entries(map)) if (value === null) map[key] = '';
    const bad = isObject(map) ? Object.entries(map).find(([, value]) => typeof value !== 'string') : [''];
    if (bad)
      throw badRequest(
        `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: metadata.${field}${bad[0] ? `.${bad[0]}` : ''} must be ${bad[0] ? 'a string' : 'a map of strings'}`,
      );
  }
  for (const field of ['finalizers', 'ownerReferences']) {
    const list = metadata[field];
    if (list !== undefined && list !== null && !Array.isArray(list)) {
      throw badRequest(
        `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: metadata.${field} must be a list`,
      );
    }
  }
}
