import type { Json, JsonObject } from '@millrace/api/validation';
import { isObject, jsonEqual } from '@millrace/api/validation';
import { badRequest, StatusError, tooManyOperations } from '../status.ts';

const maxOperations = 10_000;
/** Maximum total size that the copy operations of a patch may add, as in kube-apiserver: without it each one can double the document. */
const maxCopiedBytes = 3 * 1024 * 1024;

/** Applies an RFC 6902 JSON patch to a copy. Throws 400 for a malformed patch and 422 for one that does not apply. */
export function applyJsonPatch(document: JsonObject, patch: unknown): JsonObject {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  if (patch.length > maxOperations) throw tooManyOperations(maxOperations, patch.length);
  const holder: JsonObject = { root: structuredClone(document) };
  const budget = { bytes: maxCopiedBytes };
  patch.forEach((operation, index) => applyOperation(holder, operation, index, budget));
  const result = holder['root'];
  if (!isObject(result)) throw badRequest('a JSON patch must leave an object');
  return result;
}

function applyOperation(holder: JsonObject, operation: unknown, index: number, budget: { bytes: number }): void {
  if (!isObject(operation) || typeof operation['path'] !== 'string')
    throw badRequest(`JSON patch operation ${index}: op and path are required`);
  const path = tokens(operation['path'], index);
  const from = typeof operation['from'] === 'string' ? tokens(operation['from'], index) : undefined;
  const value = operation['value'];
  switch (operation['op']) {
    case 'add':
      return add(holder, path, needValue(value, index), index);
    case 'remove':
      return void remove(holder, path, index);
    case 'replace':
      remove(holder, path, index);
      return add(holder, path, needValue(value, index), index);
    case 'move':
      if (!from) throw badRequest(`JSON patch operation ${index}: from is required`);
      return add(holder, path, remove(holder, from, index), index);
    case 'copy':
      if (!from) throw badRequest(`JSON patch operation ${index}: from is required`);
      return add(holder, path, copied(read(holder, from, index), index, budget), index);
    case 'test':
      if (!jsonEqual(read(holder, path, index), value))
        throw doesNotApply(`operation ${index}: testing value ${path.slice(1).join('/')} failed`);
      return;
    default:
      throw doesNotApply(`operation ${index}: unknown op ${JSON.stringify(operation['op'])}`);
  }
}

function copied(value: Json, index: number, budget: { bytes: number }): Json {
  const text = JSON.stringify(value);
  budget.bytes -= Buffer.byteLength(text);
  if (budget.bytes < 0)
    throw badRequest(`JSON patch operation ${index}: the copy operations of a patch may add at most ${maxCopiedBytes} bytes`);
  return JSON.parse(text) as Json;
}

function needValue(value: Json | undefined, index: number): Json {
  if (value === undefined) throw badRequest(`JSON patch operation ${index}: value is required`);
  return value;
}

function tokens(pointer: string, index: number): string[] {
  if (pointer !== '' && !pointer.startsWith('/')) throw badRequest(`JSON patch operation ${index}: path must start with /`);
  return [
    'root',
    ...pointer
      .split('/')
      .slice(1)
      .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~')),
  ];
}

const doesNotApply = (why: string) =>
  new StatusError(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`);

function parentOf(holder: JsonObject, path: string[], index: number): { parent: Json[] | JsonObject; key: string } {
  const parent = read(holder, path.slice(0, -1), index);
  if (!isObject(parent) && !Array.isArray(parent))
    throw doesNotApply(`operation ${index}: doc is missing path: /${path.slice(1).join('/')}`);
  return { parent, key: path.at(-1) ?? '' };
}

function read(holder: JsonObject, path: string[], index: number): Json {
  let value: Json | undefined = holder;
  for (const token of path) {
    if (Array.isArray(value)) value = /^\d+$/.test(token) ? value[Number(token)] : undefined;
    else value = isObject(value) && Object.hasOwn(value, token) ? value[token] : undefined;
    if (value === undefined) throw doesNotApply(`operation ${index}: doc is missing path: /${path.slice(1).join('/')}`);
  }
  return value;
}

function add(holder: JsonObject, path: string[], value: Json, index: number): void {
  const { parent, key } = parentOf(holder, path, index);
  if (Array.isArray(parent)) {
    const at = key === '-' ? parent.length : Number(key);
    if (!Number.isInteger(at) || at < 0 || at > parent.length)
      throw doesNotApply(`operation ${index}: invalid array index ${key}`);
    parent.splice(at, 0, value);
  } else Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
}

function remove(holder: JsonObject, path: string[], index: number): Json {
  const value = read(holder, path, index);
  const { parent, key } = parentOf(holder, path, index);
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return value;
}
