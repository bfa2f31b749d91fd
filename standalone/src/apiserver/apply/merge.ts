import type { Json, JsonObject, Schema } from '@millrace/api/validation';
import { childSchema, isObject, jsonEqual } from '@millrace/api/validation';
import { itemElement, mergingOf } from './field-set.ts';

/** `live` with everything that `config` says put in: objects by field, keyed lists and sets by item, the rest as a whole. */
export function mergeApplied(live: Json | undefined, config: Json, schema: Schema | undefined): Json {
  const merging = mergingOf(config, schema);
  if (live === undefined || live === null || merging === 'atomic' || merging !== mergingOf(live, schema))
    return structuredClone(config);
  if (isObject(config) && isObject(live)) {
    const merged: JsonObject = { ...live };
    for (const [key, value] of Object.entries(config)) merged[key] = mergeApplied(live[key], value, childSchema(schema, key));
    return merged;
  }
  return mergeLists(live as Json[], config as Json[], merging as 'keyed' | 'set', schema ?? {});
}

/** Items of the live list keep their place; new ones follow in the order in which they were applied. */
function mergeLists(live: Json[], config: Json[], merging: 'keyed' | 'set', schema: Schema): Json[] {
  const applied = new Map(config.map((item) => [itemElement(item, merging, schema), item]));
  const merged = live.map((item) => {
    const element = itemElement(item, merging, schema);
    const sent = applied.get(element);
    applied.delete(element);
    return sent === undefined ? item : mergeApplied(item, sent, schema.items);
  });
  return [...merged, ...[...applied.values()].map((item) => structuredClone(item))];
}

/** `value` without what is at `path`; containers that the removal leaves empty stay, as in kube-apiserver. */
export function removePath(value: Json | undefined, path: readonly string[], schema: Schema | undefined): Json | undefined {
  const [element, ...rest] = path;
  if (element === undefined) return undefined;
  if (isObject(value) && element.startsWith('f:')) {
    const key = element.slice(2);
    if (!Object.hasOwn(value, key)) return value;
    const { [key]: inner, ...others } = value;
    const reduced = removePath(inner, rest, childSchema(schema, key));
    return reduced === undefined ? others : { ...others, [key]: reduced };
  }
  const merging = mergingOf(value, schema);
  if (!Array.isArray(value) || !schema || (merging !== 'keyed' && merging !== 'set')) return value;
  return value.flatMap((item) => {
    if (itemElement(item, merging, schema) !== element) return [item];
    const reduced = removePath(item, rest, schema.items);
    return reduced === undefined ? [] : [reduced];
  });
}

/** The first item of a keyed list in `config` that lacks a key field or repeats one; undefined when all is well. */
export function listProblem(config: Json | undefined, schema: Schema | undefined, path = ''): string | undefined {
  if (!schema) return undefined;
  if (isObject(config)) {
    for (const [key, value] of Object.entries(config)) {
      const problem = listProblem(value, childSchema(schema, key), `${path}.${key}`);
      if (problem) return problem;
    }
    return undefined;
  }
  const merging = mergingOf(config, schema);
  if (!Array.isArray(config) || (merging !== 'keyed' && merging !== 'set')) return undefined;
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  for (const [index, item] of config.entries()) {
    const lacking =
      merging === 'keyed'
        ? keys.find(
            (key) => !isObject(item) || (item[key] === undefined && schema.items?.properties?.[key]?.default === undefined),
          )
        : undefined;
    if (lacking)
      return `${path}: element ${index}: associative list with keys has an element that omits key field ${JSON.stringify(lacking)} (and doesn't have default value)`;
    const element = itemElement(item, merging, schema);
    const first = config.findIndex((other) => itemElement(other, merging, schema) === element || jsonEqual(other, item));
    if (first !== index) return `${path}: duplicate entries for key ${element.slice(2)}`;
    const inner = listProblem(item, schema.items, `${path}[${index}]`);
    if (inner) return inner;
  }
  return undefined;
}
