import type { Json, JsonObject, Schema } from '@millrace/api/validation';
import { childSchema, isObject, jsonEqual } from '@millrace/api/validation';
import { badRequest } from '../status.ts';

/**
 * Applies a strategic merge patch to a built-in kind (Kubernetes' "strategic-merge-patch" note): lists with a merge key merge
 * by item, `$patch: delete|replace`, `$deleteFromPrimitiveList/…`, `$setElementOrder/…` and `$retainKeys` are understood.
 */
export function strategicMerge(target: JsonObject, patch: JsonObject, schema: Schema | undefined): JsonObject {
  if (patch['$patch'] === 'replace') return withoutDirectives(patch);
  if (patch['$patch'] === 'delete') return {};
  const result: JsonObject = retained(target, patch['$retainKeys']);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) applyDirective(result, key, value);
    else if (value === null) delete result[key];
    else result[key] = mergeValue(result[key], value, childSchema(schema, key));
  }
  orderLists(result, patch, schema);
  return result;
}

function mergeValue(current: Json | undefined, value: Json, schema: Schema | undefined): Json {
  if (isObject(value)) return strategicMerge(isObject(current) ? current : {}, value, schema);
  if (!Array.isArray(value)) return value;
  if (!schema?.['x-kubernetes-patch-strategy']?.includes('merge')) return value;
  const key = schema['x-kubernetes-patch-merge-key'];
  const live = Array.isArray(current) ? current : [];
  return key
    ? mergeByKey(live, value, key, schema)
    : [...live, ...value.filter((item) => !live.some((known) => jsonEqual(known, item)))];
}

function mergeByKey(live: Json[], patch: Json[], key: string, schema: Schema): Json[] {
  if (patch.some((item) => isObject(item) && item['$patch'] === 'replace')) {
    return patch.filter((item) => !(isObject(item) && item['$patch'] === 'replace'));
  }
  let result = [...live];
  for (const item of patch) {
    if (!isObject(item)) throw badRequest('a strategic merge patch of a keyed list must hold objects');
    if (item[key] === undefined) throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const same = (known: Json) => isObject(known) && jsonEqual(known[key], item[key]);
    if (item['$patch'] === 'delete') result = result.filter((known) => !same(known));
    else if (result.some(same))
      result = result.map((known) => (same(known) ? strategicMerge(known as JsonObject, item, schema.items) : known));
    else result.push(strategicMerge({}, item, schema.items));
  }
  return result;
}

function applyDirective(result: JsonObject, key: string, value: Json): void {
  const field = /^\$deleteFromPrimitiveList\/(.*)$/.exec(key)?.[1];
  const list = field === undefined ? undefined : result[field];
  if (field === undefined || !Array.isArray(list) || !Array.isArray(value)) return;
  result[field] = list.filter((item) => !value.some((gone) => jsonEqual(gone, item)));
}

function retained(target: JsonObject, keys: Json | undefined): JsonObject {
  if (!Array.isArray(keys)) return { ...target };
  return Object.fromEntries(Object.entries(target).filter(([key]) => keys.includes(key)));
}

function orderLists(result: JsonObject, patch: JsonObject, schema: Schema | undefined): void {
  for (const [directive, order] of Object.entries(patch)) {
    const field = /^\$setElementOrder\/(.*)$/.exec(directive)?.[1];
    const list = field === undefined ? undefined : result[field];
    if (field === undefined || !Array.isArray(list) || !Array.isArray(order)) continue;
    const key = childSchema(schema, field)?.['x-kubernetes-patch-merge-key'];
    const identity = (item: Json) => JSON.stringify(key && isObject(item) ? item[key] : item);
    const places = order.map(identity);
    const placeOf = (item: Json) => (places.includes(identity(item)) ? places.indexOf(identity(item)) : places.length);
    result[field] = [...list].sort((a, b) => placeOf(a) - placeOf(b));
  }
}

function withoutDirectives(patch: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));
}
