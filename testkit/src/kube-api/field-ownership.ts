import { isDeepStrictEqual } from 'node:util';
import type { ManagedFieldsEntry } from './wire.ts';

// Field ownership as in server-side apply with force, for objects without a schema: a list is a single value.

interface Owned {
  metadata: { managedFields?: ManagedFieldsEntry[]; [field: string]: unknown };
}

type Leaves = Map<string, unknown>;

/** The metadata fields that a manager can own; the server sets the others. */
const OWNED_METADATA = ['labels', 'annotations', 'finalizers', 'ownerReferences'];

/** Returns the object after `manager` applied `body` at `time`; the same object when nothing changes. */
export function applyFields<T extends Owned>(stored: T, body: object, manager: string, subresource: string, time: string): T {
  const inScope = (path: string): boolean => path.startsWith('["status"') === (subresource === 'status');
  const applied = new Map([...leavesOf(body)].filter(([path]) => inScope(path)));
  const others = (stored.metadata.managedFields ?? []).filter((entry) => !isOf(entry, manager, subresource));
  const own = (stored.metadata.managedFields ?? []).find((entry) => isOf(entry, manager, subresource));
  const next = structuredClone(stored);
  const before = leavesOf(stored);
  const taken: string[] = [];
  for (const [path, value] of applied) {
    if (before.has(path) && isDeepStrictEqual(before.get(path), value)) continue;
    set(next, path, value);
    taken.push(path);
  }
  for (const path of Object.keys(own?.fieldsV1 ?? {})) {
    if (!applied.has(path) && !others.some((entry) => entry.fieldsV1 && path in entry.fieldsV1)) set(next, path, undefined);
  }
  const fieldsV1 = Object.fromEntries([...applied.keys()].sort().map((path) => [path, {}]));
  const unchanged = own?.time !== undefined && taken.length === 0 && isDeepStrictEqual(own.fieldsV1, fieldsV1);
  const since = { time: unchanged ? own.time : time };
  const entry = {
    manager,
    operation: 'Apply',
    ...(subresource ? { subresource } : {}),
    ...since,
    fieldsV1,
  } as ManagedFieldsEntry;
  next.metadata.managedFields = [...without(others, taken), entry];
  return isDeepStrictEqual(next, stored) ? stored : next;
}

/** Returns the managedFields after an update by another client: managers lose the fields that changed. */
export function ownersAfterUpdate(before: Owned, after: object): ManagedFieldsEntry[] | undefined {
  const [old, now] = [leavesOf(before), leavesOf(after)];
  const changed = [...old.keys()].filter((path) => !isDeepStrictEqual(old.get(path), now.get(path)));
  return before.metadata.managedFields && without(before.metadata.managedFields, changed);
}

function isOf(entry: ManagedFieldsEntry, manager: string, subresource: string): boolean {
  return entry.manager === manager && (entry.subresource ?? '') === subresource;
}

function without(entries: ManagedFieldsEntry[], paths: string[]): ManagedFieldsEntry[] {
  return entries.map((entry) => ({
    ...entry,
    fieldsV1: Object.fromEntries(Object.entries(entry.fieldsV1 ?? {}).filter(([path]) => !paths.includes(path))),
  }));
}

function leavesOf(object: object): Leaves {
  const leaves: Leaves = new Map();
  const walk = (value: unknown, path: string[]): void => {
    const [top, second] = path;
    if (top === 'apiVersion' || top === 'kind' || (top === 'metadata' && second && !OWNED_METADATA.includes(second))) return;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) leaves.set(JSON.stringify(path), value);
    else for (const [name, part] of Object.entries(value)) walk(part, [...path, name]);
  };
  walk(object, []);
  return leaves;
}

function set(object: object, path: string, value: unknown): void {
  const names = JSON.parse(path) as string[];
  const last = names.pop()!;
  let at = object as Record<string, unknown>;
  for (const name of names) at = (at[name] ??= {}) as Record<string, unknown>;
  if (value !== undefined) at[last] = value;
  else {
    delete at[last];
    if (names.length > 0 && Object.keys(at).length === 0) set(object, JSON.stringify(names), undefined);
  }
}
