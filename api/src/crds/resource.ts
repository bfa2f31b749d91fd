// Generated from crds/*.yaml by `npm run generate`. Change it there.

/** Where a kind lives in the API; `T` is the type of its objects. */
export interface CustomResource<T> {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Only carries the type. */
  readonly object?: T;
}

/** metadata as it stands in JSON; times are RFC 3339. */
export interface ResourceMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: {
    apiVersion: string;
    kind: string;
    name: string;
    uid: string;
    controller?: boolean;
    blockOwnerDeletion?: boolean;
  }[];
  creationTimestamp?: string;
  deletionTimestamp?: string;
}
