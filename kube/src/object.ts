/** The fields of every Kubernetes object as in JSON: times are RFC 3339 strings, where client-node's model classes have Date. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
}

export interface ObjectMeta {
  name?: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  managedFields?: ManagedFieldsEntry[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
  manager?: string;
  operation?: string;
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: object;
  subresource?: string;
}

/** A model type of client-node as it arrives in JSON: every Date is a string. */
export type Wire<T> = T extends Date
  ? string
  : T extends (infer U)[]
    ? Wire<U>[]
    : T extends object
      ? { [K in keyof T]: Wire<T[K]> }
      : T;

/** A subset of an object's fields, at any depth, for server-side apply. */
export type Fields<T> = T extends (infer U)[] ? Fields<U>[] : T extends object ? { [K in keyof T]?: Fields<T[K]> } : T;

/** The name of an object, and its namespace unless it is cluster-scoped. */
export interface ObjectRef {
  namespace?: string;
  name: string;
}

/** `namespace/name`, or `name` of a cluster-scoped object: the key of caches and work queues. */
export function objectKey(object: KubeObject | ObjectRef): string {
  const { namespace, name } = refOf(object);
  return namespace ? `${namespace}/${name}` : name;
}

/** Parses a key. A key without a slash names a cluster-scoped object. */
export function parseKey(key: string): ObjectRef {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** Namespace and name of an object. Throws TypeError when it has no name. */
export function refOf(object: KubeObject | ObjectRef): ObjectRef {
  const { name, namespace } = 'name' in object ? object : (object.metadata ?? {});
  if (!name) throw new TypeError('object without metadata.name');
  return namespace ? { namespace, name } : { name };
}

/** The controller owner reference for a dependent of `owner`. Throws TypeError unless `owner` has apiVersion, kind, name and uid. */
export function controllerRef(owner: KubeObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  if (!apiVersion || !kind || !metadata?.name || !metadata.uid)
    throw new TypeError('owner without apiVersion, kind, name or uid');
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true };
}

/** The owner reference with `controller: true`, if any; the API allows at most one. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find((owner) => owner.controller);
}
