import { childSchema, isObject } from './schema.ts';
import type { Json, Schema } from './schema.ts';
import { fieldPath } from './field-error.ts';

/**
 * Fills in absent fields from the schema's defaults, in place. A null where the schema neither allows null
 * nor lacks a default counts as absent, as in kube-apiserver.
 */
export function applySchemaDefaults(value: Json | undefined, schema: Schema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) applySchemaDefaults(item, schema.items);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const current = value[key];
    if (property.default !== undefined && (current === undefined || (current === null && !property.nullable))) {
      value[key] = structuredClone(property.default);
    }
  }
  for (const [key, child] of Object.entries(value)) {
    const below = childSchema(schema, key);
    if (below) applySchemaDefaults(child, below);
  }
}

const embeddedMetadata: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const embeddedFields: Record<string, Schema> = { apiVersion: {}, kind: {}, metadata: embeddedMetadata };

/** Removes in place every field that the schema does not know; returns their paths in the order found. */
export function pruneUnknown(value: Json | undefined, schema: Schema, path = ''): string[] {
  if (Array.isArray(value)) {
    const items = schema.items;
    return items ? value.flatMap((item, index) => pruneUnknown(item, items, `${path}[${index}]`)) : [];
  }
  if (!isObject(value)) return [];
  const pruned: string[] = [];
  for (const key of Object.keys(value)) {
    const below = childSchema(schema, key) ?? (schema['x-kubernetes-embedded-resource'] ? embeddedFields[key] : undefined);
    if (below) pruned.push(...pruneUnknown(value[key], below, fieldPath(path, key)));
    else if (keepsUnknown(schema)) continue;
    else {
      delete value[key];
      pruned.push(fieldPath(path, key));
    }
  }
  return pruned;
}

function keepsUnknown(schema: Schema): boolean {
  return schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
}

/** Removes nulls of fields that are not nullable, in place (kube-apiserver prunes them before it validates). */
export function dropNulls(value: Json | undefined, schema: Schema): void {
  if (Array.isArray(value) && schema.items) for (const item of value) dropNulls(item, schema.items);
  if (!isObject(value)) return;
  for (const [key, child] of Object.entries(value)) {
    const below = childSchema(schema, key);
    if (!below) continue;
    if (child === null && !below.nullable) delete value[key];
    else dropNulls(child, below);
  }
}
