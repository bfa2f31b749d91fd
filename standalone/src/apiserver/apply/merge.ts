import type { Json, JsonObject, Schema } from '@millrace/api/validation';
import { childSchema, isObject, jsonEqual } from '@millrace/api/validation';
import type { FieldSet } from './field-set.ts';
import { emptySet, itemElement, mergingOf, partsOf } from './field-set.ts';

/** Merges `config` into `live`: objects by field, keyed lists and sets by item, anything else as a whole. */
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

/** Items that only `live` has keep their place; applied items get the order in which they are applied. */
function mergeLists(live: Json[], config: Json[], merging: 'keyed' | 'set', schema: Schema): Json[] {
  const elementOf = (item: Json) => itemElement(item, merging, schema);
  const present = new Map(live.map((item) => [elementOf(item), item]));
  const applied = config.map(elementOf);
  const mergedItem = (index: number) => mergeApplied(present.get(applied[index] ?? ''), config[index] ?? null, schema.items);
  const merged: Json[] = [];
  let next = 0;
  for (const item of live) {
    const place = applied.indexOf(elementOf(item));
    if (place < 0) merged.push(item);
    // An applied item that follows an item further on in `live` is placed after that one.
    const isInOrder = place >= next && !applied.slice(next, place).some((element) => present.has(element));
    while (isInOrder && next <= place) merged.push(mergedItem(next++));
  }
  while (next < config.length) merged.push(mergedItem(next++));
  return merged;
}

/**
 * `value` without the fields that `last` has and `kept` has not. A declared field is removed, with its contents and defaults, once nobody
 * keeps any part of it ("Server-Side Apply": merge strategy; structured-merge-diff, prune).
 */
export function removeAbandoned(value: Json, last: FieldSet, kept: FieldSet, schema: Schema | undefined): Json {
  const parts = partsOf(value, schema);
  let result = value;
  for (const [element, below] of last.children) {
    const part = parts.get(element);
    if (!part) continue;
    const others = kept.children.get(element);
    // A list item is kept by managers that own the item, not by those that own only fields in it.
    const isKept = others !== undefined && (others.member || part.declared);
    if (!isKept && (below.member || part.declared)) result = withPart(result, element, undefined, schema);
    else result = withPart(result, element, removeAbandoned(part.value, below, others ?? emptySet(), part.schema), schema);
  }
  return result;
}

/** Copies `value` with one part replaced; undefined removes the part. */
function withPart(value: Json, element: string, part: Json | undefined, schema: Schema | undefined): Json {
  if (isObject(value)) {
    const { [element.slice(2)]: _old, ...others } = value;
    return part === undefined ? others : { ...value, [element.slice(2)]: part };
  }
  const merging = mergingOf(value, schema);
  if (!Array.isArray(value) || !schema || (merging !== 'keyed' && merging !== 'set')) return value;
  return value.flatMap((item) => (itemElement(item, merging, schema) !== element ? [item] : part === undefined ? [] : [part]));
}

/** The first item of a keyed list in `config` that lacks a key field or repeats a key; undefined when there is none. */
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
