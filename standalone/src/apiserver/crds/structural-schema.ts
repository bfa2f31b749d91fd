import type { FieldError, Schema } from '@millrace/api/validation';
import { isObject, required } from '@millrace/api/validation';

/** Where a schema is not structural: every field that it names must have a type ("CustomResourceDefinition": structural schema). */
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
  return below.flatMap(([child, at, where]) => [
    ...(isTyped(child) ? [] : [required(`${at}.type`, `must not be empty ${where}`)]),
    ...structuralErrors(child, at),
  ]);
}

function isTyped(schema: Schema): boolean {
  return Boolean(schema.type || schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields']);
}
