import type { FieldError, Schema } from '@millrace/api/validation';
import { forbidden, invalid, isObject, notSupported, required, validateSchema } from '@millrace/api/validation';

const types = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

/** Violations of the rules for structural schemas: fields have types, lists declare their items ("CustomResourceDefinition": structural schema). */
export function structuralErrors(schema: Schema, path: string): FieldError[] {
  const { properties = {}, items, additionalProperties } = schema;
  const below: [Schema, string, string][] = Object.entries(properties).map(([key, child]) => [
    child,
    `${path}.properties[${key}]`,
    'for specified object fields',
  ]);
  if (items) below.push([items, `${path}.items`, 'for specified array items']);
  if (isObject(additionalProperties))
    below.push([additionalProperties, `${path}.additionalProperties`, 'for specified object fields']);
  return [
    ...ownErrors(schema, path),
    ...below.flatMap(([child, at, where]) => [
      ...(isTyped(child) ? [] : [required(`${at}.type`, `must not be empty ${where}`)]),
      ...structuralErrors(child, at),
    ]),
  ];
}

function isTyped(schema: Schema): boolean {
  return Boolean(schema.type || schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields']);
}

function ownErrors(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { type, items, properties, additionalProperties, pattern } = schema;
  if (type !== undefined && !types.includes(type)) return [notSupported(`${path}.type`, type, types)];
  if ('$ref' in schema) errors.push(forbidden(`${path}.$ref`, '$ref is not supported'));
  if (schema.uniqueItems === true)
    errors.push(
      forbidden(`${path}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'),
    );
  if (type === 'array' && !items) errors.push(required(`${path}.items`, 'must be specified'));
  if (properties && additionalProperties !== undefined)
    errors.push(forbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'));
  if (pattern !== undefined && !isPattern(pattern))
    errors.push(invalid(`${path}.pattern`, pattern, 'must be a valid regular expression'));
  errors.push(...keyErrors(schema, path));
  if (errors.length === 0 && schema.default !== undefined)
    errors.push(...validateSchema(schema.default, schema, `${path}.default`));
  return errors;
}

/** Keys of a keyed list must be present in every item. */
function keyErrors(schema: Schema, path: string): FieldError[] {
  if (schema['x-kubernetes-list-type'] !== 'map') return [];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  if (keys.length === 0)
    return [required(`${path}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map')];
  return keys.flatMap((key) => {
    const property = schema.items?.properties?.[key];
    const isThere = property?.default !== undefined || schema.items?.required?.includes(key);
    const why = 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property';
    return isThere ? [] : [required(`${path}.items.properties[${key}].default`, why)];
  });
}

function isPattern(pattern: string): boolean {
  try {
    return Boolean(new RegExp(pattern, 'u'));
  } catch {
    return false;
  }
}
