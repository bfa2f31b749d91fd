/** Where an object lives: `/api/v1/namespaces/ns/pods/a` is `a` of the collection `/api/v1/namespaces/ns/pods`. */
export interface ObjectPath {
  collection: string;
  /** The collection of all namespaces, which has this one in it; the same for cluster-scoped kinds. */
  everywhere: string;
  /** '' for a collection. */
  name: string;
  namespace?: string;
}

const MAX_KNOWN = 10_000;
const known = new Map<string, ObjectPath>();

export function parsePath(path: string): ObjectPath {
  const before = known.get(path);
  if (before) return before;
  if (known.size > MAX_KNOWN) known.clear();
  const segments = path.split('/').slice(1);
  const root = segments[0] === 'api' ? 2 : 3;
  const namespace = segments[root] === 'namespaces' && segments.length > root + 2 ? segments[root + 1] : undefined;
  const named = segments.length > root + (namespace ? 3 : 1);
  const collection = named ? path.slice(0, path.lastIndexOf('/')) : path;
  const parsed = {
    collection,
    everywhere: namespace ? collection.replace(`/namespaces/${namespace}`, '') : collection,
    name: named ? segments[segments.length - 1]! : '',
    ...(namespace ? { namespace } : {}),
  };
  known.set(path, parsed);
  return parsed;
}

/** A collection lies within itself and, when namespaced, within that of all namespaces. */
export function isWithin(object: ObjectPath, collection: string): boolean {
  return object.collection === collection || object.everywhere === collection;
}
