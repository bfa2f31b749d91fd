import { childSchema, isObject, jsonEqual, listMapKey } from './schema.ts';
import type { Json, JsonObject, Schema } from './schema.ts';
import { duplicate, fieldPath, invalid, notSupported, required, tooLong, tooMany, typeInvalid } from './field-error.ts';
import type { FieldError } from './field-error.ts';
import { matchesFormat } from './formats.ts';

/**
 * Every way in which `value` breaks `schema`, CEL rules excepted. What equals `old` at the same place is not
 * judged again (validation ratcheting, KEP-4008), so that a tightened schema does not block unrelated changes.
 */
export function validateSchema(value: Json, schema: Schema, path: string, old?: Json): FieldError[] {
  if (old !== undefined && jsonEqual(value, old)) return [];
  if (value === null) return schema.nullable || !schema.type ? [] : [typeInvalid(path, value, schema.type)];
  const wrongType = checkType(value, schema, path);
  if (wrongType) return [wrongType];
  const errors = [...validateEnum(value, schema, path), ...validateCombinations(value, schema, path)];
  if (typeof value === 'string') errors.push(...validateString(value, schema, path));
  else if (typeof value === 'number') errors.push(...validateNumber(value, schema, path));
  else if (Array.isArray(value)) errors.push(...validateArray(value, schema, path, old));
  else if (isObject(value)) errors.push(...validateObject(value, schema, path, old));
  return errors;
}

function checkType(value: Json, schema: Schema, path: string): FieldError | undefined {
  if (schema['x-kubernetes-int-or-string']) {
    return typeof value === 'string' || Number.isInteger(value) ? undefined : typeInvalid(path, value, 'integer,string');
  }
  const ok = {
    object: () => isObject(value),
    array: () => Array.isArray(value),
    string: () => typeof value === 'string',
    boolean: () => typeof value === 'boolean',
    integer: () => Number.isInteger(value),
    number: () => typeof value === 'number',
  };
  return !schema.type || ok[schema.type]() ? undefined : typeInvalid(path, value, schema.type);
}

function validateEnum(value: Json, schema: Schema, path: string): FieldError[] {
  if (!schema.enum || schema.enum.some((allowed) => jsonEqual(allowed, value))) return [];
  return [notSupported(path, value, schema.enum)];
}

function validateString(value: string, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength) errors.push(tooLong(path, schema.maxLength));
  if (schema.minLength !== undefined && length < schema.minLength) {
    errors.push(invalid(path, value, `${path} in body should be at least ${schema.minLength} chars long`));
  }
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(value)) {
    errors.push(invalid(path, value, `${path} in body should match '${schema.pattern}'`));
  }
  if (schema.format && !matchesFormat(schema.format, value)) {
    const error = invalid(path, value, `${path} in body must be of type ${schema.format}: ${JSON.stringify(value)}`);
    errors.push({ ...error, reason: 'FieldValueTypeInvalid' }); // as kube-apiserver calls it, although the type is right
  }
  return errors;
}

const patterns = new Map<string, RegExp>();
function patternOf(source: string): RegExp {
  let pattern = patterns.get(source);
  if (!pattern) patterns.set(source, (pattern = new RegExp(source, 'u')));
  return pattern;
}

function validateNumber(value: number, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) {
    errors.push(
      invalid(path, value, `${path} in body should be greater than ${schema.exclusiveMinimum ? '' : 'or equal to '}${minimum}`),
    );
  }
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) {
    errors.push(
      invalid(path, value, `${path} in body should be less than ${schema.exclusiveMaximum ? '' : 'or equal to '}${maximum}`),
    );
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    errors.push(invalid(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  }
  const outside32 = schema.format === 'int32' && (value < -(2 ** 31) || value > 2 ** 31 - 1);
  if (outside32) errors.push(invalid(path, value, `${path} in body must be of type int32: ${JSON.stringify(value)}`));
  return errors;
}

function validateArray(value: Json[], schema: Schema, path: string, old?: Json): FieldError[] {
  const errors: FieldError[] = [];
  if (schema.maxItems !== undefined && value.length > schema.maxItems) errors.push(tooMany(path, value.length, schema.maxItems));
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    errors.push(invalid(path, value.length, `${path} in body should have at least ${schema.minItems} items`));
  }
  errors.push(...duplicateItems(value, schema, path));
  const items = schema.items;
  if (items) {
    value.forEach((item, index) =>
      errors.push(...validateSchema(item, items, `${path}[${index}]`, correlatedItem(item, schema, old))),
    );
  }
  return errors;
}

function duplicateItems(value: Json[], schema: Schema, path: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type'];
  if (listType !== 'set' && listType !== 'map') return [];
  const seen = new Set<string>();
  const errors: FieldError[] = [];
  value.forEach((item, index) => {
    const key = listType === 'map' ? listMapKey(item, schema) : item;
    const text = JSON.stringify(key);
    if (key === undefined) return;
    if (seen.has(text)) errors.push(duplicate(`${path}[${index}]`, key));
    seen.add(text);
  });
  return errors;
}

/** The item of the old list that a new item continues: only lists with keys can say. */
export function correlatedItem(item: Json, schema: Schema, old: Json | undefined): Json | undefined {
  if (schema['x-kubernetes-list-type'] !== 'map' || !Array.isArray(old)) return undefined;
  const key = listMapKey(item, schema);
  return old.find((candidate) => jsonEqual(listMapKey(candidate, schema), key));
}

function validateObject(value: JsonObject, schema: Schema, path: string, old?: Json): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of schema.required ?? []) {
    if (value[name] === undefined) errors.push(required(fieldPath(path, name)));
  }
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties) errors.push(tooMany(path, count, schema.maxProperties));
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    errors.push(invalid(path, count, `${path} in body should have at least ${schema.minProperties} properties`));
  }
  for (const [key, child] of Object.entries(value)) {
    const below = childSchema(schema, key);
    if (below) errors.push(...validateSchema(child, below, fieldPath(path, key), isObject(old) ? old[key] : undefined));
  }
  return errors;
}

function validateCombinations(value: Json, schema: Schema, path: string): FieldError[] {
  const fits = (candidate: Schema) => validateSchema(value, candidate, path).length === 0;
  const errors = (schema.allOf ?? []).flatMap((part) => validateSchema(value, part, path));
  if (schema.anyOf && !schema.anyOf.some(fits)) {
    errors.push(invalid(path, '', `"${path}" must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf) {
    const count = schema.oneOf.filter(fits).length;
    const found = count === 0 ? 'none' : String(count);
    if (count !== 1)
      errors.push(invalid(path, '', `"${path}" must validate one and only one schema (oneOf). Found ${found} valid`));
  }
  if (schema.not && fits(schema.not)) errors.push(invalid(path, '', `"${path}" must not validate the schema (not)`));
  return errors;
}
