export interface JsonBounds {
  /** Values of any kind, at any depth. */
  values: number;
  /** Keys of one object. */
  keys: number;
  /** Items of one array. */
  items: number;
}

/**
 * What a parsed JSON text has too much of; undefined when it is within the bounds. For use before a schema, which looks at everything and collects an error
 * for each value that it refuses: that costs far more than the bytes, and above some 100,000 errors it throws.
 */
export function jsonExcess(value: unknown, bounds: JsonBounds): string | undefined {
  const open: unknown[] = [value];
  let count = 1;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    const isArray = Array.isArray(next);
    const inner: unknown[] = isArray ? (next as unknown[]) : Object.values(next);
    if (isArray && inner.length > bounds.items) return `an array of ${inner.length} items: at most ${bounds.items}`;
    if (!isArray && inner.length > bounds.keys) return `an object of ${inner.length} keys: at most ${bounds.keys}`;
    count += inner.length;
    if (count > bounds.values) return `more than ${bounds.values} values`;
    for (const one of inner) if (typeof one === 'object' && one !== null) open.push(one);
  }
  return undefined;
}
