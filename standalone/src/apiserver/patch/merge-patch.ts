import type { Json } from '@millrace/api/validation';
import { isObject } from '@millrace/api/validation';

/** Applies an RFC 7386 JSON merge patch; returns a new value. */
export function applyMergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else {
      const below = applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value);
      // Not by assignment, since a key may be __proto__.
      Object.defineProperty(result, key, { value: below, enumerable: true, configurable: true, writable: true });
    }
  }
  return result;
}
