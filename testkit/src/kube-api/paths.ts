/** A parsed path: `/api/v1/namespaces/ns/pods/a` is `a` in the collection `/api/v1/namespaces/ns/pods`. */
export interface ObjectPath {
  collection: string;
  /** The collection of all namespaces; equal to the collection for cluster-scoped kinds. */
  everywhere: string;
  /** The object's name; '' for the path of a collection. */
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

/** True when the object is in the collection, which may be that of one namespace or of all namespaces. */
export function isWithin(object: ObjectPath, collection: string): boolean {
  return object.collection === collection || object.everywhere === collection;
}
