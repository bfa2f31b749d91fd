import type { Json, JsonObject, Schema } from '@millrace/api/validation';
import { childSchema, isObject, jsonEqual, listMapKey } from '@millrace/api/validation';

/**
 * A set of field paths, as a tree. The keys of `children` are the path elements of FieldsV1: `f:name` for a field,
 * `k:{...}` for an item of a keyed list, `v:...` for an item of a set (API concepts, "Server-Side Apply").
 */
export interface FieldSet {
  member: boolean;
  children: Map<string, FieldSet>;
}

export const emptySet = (): FieldSet => ({ member: false, children: new Map() });
const leaf = (): FieldSet => ({ member: true, children: new Map() });

export function isEmpty(set: FieldSet): boolean {
  return !set.member && set.children.size === 0;
}

export function fromFieldsV1(fields: Json | undefined): FieldSet {
  const set = emptySet();
  if (!isObject(fields)) return set;
  for (const [key, below] of Object.entries(fields)) {
    if (key === '.') set.member = true;
    else set.children.set(key, isObject(below) && Object.keys(below).length > 0 ? fromFieldsV1(below) : leaf());
  }
  return set;
}

export function toFieldsV1(set: FieldSet): JsonObject {
  const out: JsonObject = {};
  if (set.member && set.children.size > 0) out['.'] = {};
  for (const key of [...set.children.keys()].sort()) out[key] = toFieldsV1(set.children.get(key) ?? emptySet());
  return out;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const children = new Map(a.children);
  for (const [key, below] of b.children) {
    const known = children.get(key);
    children.set(key, known ? union(known, below) : below);
  }
  return { member: a.member || b.member, children };
}

export function difference(a: FieldSet, b: FieldSet): FieldSet {
  return combine(a, b, (inA, inB) => inA && !inB, true);
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  return combine(a, b, (inA, inB) => inA && inB, false);
}

function combine(a: FieldSet, b: FieldSet, keep: (inA: boolean, inB: boolean) => boolean, keepUnmatched: boolean): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [key, below] of a.children) {
    const other = b.children.get(key);
    const result = other ? combine(below, other, keep, keepUnmatched) : keepUnmatched ? below : emptySet();
    if (!isEmpty(result)) children.set(key, result);
  }
  return { member: keep(a.member, b.member), children };
}

/** Every path of the set: at each level its members, then the paths below them. */
export function* pathsOf(set: FieldSet, prefix: readonly string[] = []): Generator<readonly string[]> {
  if (set.member && prefix.length === 0) yield prefix;
  const children = [...set.children].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [key, child] of children) if (child.member) yield [...prefix, key];
  for (const [key, child] of children) yield* pathsOf(child, [...prefix, key]);
}

/** Formats a path as in conflict messages: `.spec.containers[name="a"].image`. */
export function showPath(path: readonly string[]): string {
  return path.map(showElement).join('');
}

function showElement(element: string): string {
  if (element.startsWith('f:')) return `.${element.slice(2)}`;
  const value = JSON.parse(element.slice(2)) as Json;
  if (element.startsWith('v:')) return `[=${JSON.stringify(value)}]`;
  return `[${Object.entries(value as JsonObject)
    .map(([key, part]) => `${key}=${JSON.stringify(part)}`)
    .join(',')}]`;
}

/** How a value merges: field by field, item by item, or as a whole. */
export type Merging = 'fields' | 'keyed' | 'set' | 'atomic';

export function mergingOf(value: Json | undefined, schema: Schema | undefined): Merging {
  if (isObject(value)) return schema?.['x-kubernetes-map-type'] === 'atomic' ? 'atomic' : 'fields';
  if (!Array.isArray(value)) return 'atomic';
  const listType = schema?.['x-kubernetes-list-type'];
  return listType === 'map' ? 'keyed' : listType === 'set' ? 'set' : 'atomic';
}

/** The path element of a list item. */
export function itemElement(item: Json, merging: 'keyed' | 'set', schema: Schema): string {
  return merging === 'set' ? `v:${JSON.stringify(item)}` : `k:${JSON.stringify(listMapKey(item, schema) ?? {})}`;
}

/** The parts of a value that merges by parts: element → (value, schema). */
export function partsOf(
  value: Json,
  schema: Schema | undefined,
): Map<string, { value: Json; schema: Schema | undefined; declared: boolean }> {
  const parts = new Map<string, { value: Json; schema: Schema | undefined; declared: boolean }>();
  if (isObject(value)) {
    for (const [key, child] of Object.entries(value)) {
      const declared = schema?.properties !== undefined && Object.hasOwn(schema.properties, key);
      parts.set(`f:${key}`, { value: child, schema: childSchema(schema, key), declared });
    }
  } else if (Array.isArray(value) && schema) {
    const merging = mergingOf(value, schema);
    if (merging === 'keyed' || merging === 'set') {
      for (const item of value)
        parts.set(itemElement(item, merging, schema), { value: item, schema: schema.items, declared: false });
    }
  }
  return parts;
}

/**
 * All fields that a value sets. A declared field that contains other fields is not a member itself; map entries and list items are. An empty
 * list that merges sets nothing.
 */
export function fieldsOf(value: Json, schema: Schema | undefined): FieldSet {
  const merging = mergingOf(value, schema);
  const parts = merging === 'atomic' ? new Map<string, never>() : partsOf(value, schema);
  if (parts.size === 0) return Array.isArray(value) && merging !== 'atomic' ? emptySet() : leaf();
  const set = emptySet();
  for (const [element, part] of parts) {
    const inner = fieldsOf(part.value, part.schema);
    if (!part.declared) inner.member = true;
    if (!isEmpty(inner)) set.children.set(element, inner);
  }
  return set;
}

/** The same, with every field that contains other fields as a member: for values that are added or removed as a whole. */
function everythingIn(value: Json, schema: Schema | undefined): FieldSet {
  const set = leaf();
  if (mergingOf(value, schema) === 'atomic') return set;
  for (const [element, part] of partsOf(value, schema)) set.children.set(element, everythingIn(part.value, part.schema));
  return set;
}

/** The fields that differ between two values of one schema: set or changed in `next`, and removed from it. */
export function compare(
  old: Json | undefined,
  next: Json | undefined,
  schema: Schema | undefined,
): { changed: FieldSet; removed: FieldSet } {
  if (old === undefined) return { changed: next === undefined ? emptySet() : everythingIn(next, schema), removed: emptySet() };
  if (next === undefined) return { changed: emptySet(), removed: everythingIn(old, schema) };
  const merging = mergingOf(next, schema);
  if (merging === 'atomic' || merging !== mergingOf(old, schema)) {
    return { changed: jsonEqual(old, next) ? emptySet() : leaf(), removed: emptySet() };
  }
  const changed = emptySet();
  const removed = emptySet();
  const before = partsOf(old, schema);
  const after = partsOf(next, schema);
  for (const element of new Set([...before.keys(), ...after.keys()])) {
    const was = before.get(element);
    const is = after.get(element);
    const part = compare(was?.value, is?.value, (is ?? was)?.schema);
    if (!isEmpty(part.changed)) changed.children.set(element, part.changed);
    if (!isEmpty(part.removed)) removed.children.set(element, part.removed);
  }
  return { changed, removed };
}
