import type {
  CoreV1Event,
  V1ConfigMap,
  V1CustomResourceDefinition,
  V1Lease,
  V1Namespace,
  V1Node,
  V1Pod,
  V1PodDisruptionBudget,
  V1Secret,
  V1TokenReview,
} from '@kubernetes/client-node';
import type { KubeObject, ObjectRef, Wire } from './object.ts';

export { mediaEdges, mediaNodes, relayMeshes, streamRoutes } from '@millrace/api';

/** Where a kind lives in the API; `T` is the type of its objects. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never set; carries the type only. */
  readonly object?: T;
}

/** Selects objects of a kind. Without a namespace, objects of all namespaces. */
export interface Selection {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
}

export type Subresource = 'status' | 'scale';

export type Pod = Wire<V1Pod>;
export type Node = Wire<V1Node>;
export type Namespace = Wire<V1Namespace>;
export type Secret = Wire<V1Secret>;
export type ConfigMap = Wire<V1ConfigMap>;
export type CoreEvent = Wire<CoreV1Event>;
export type Lease = Wire<V1Lease>;
export type PodDisruptionBudget = Wire<V1PodDisruptionBudget>;
export type CustomResourceDefinition = Wire<V1CustomResourceDefinition>;
export type TokenReview = Wire<V1TokenReview>;

function core<T extends KubeObject>(plural: string, kind: string, namespaced = true): Resource<T> {
  return { group: '', version: 'v1', plural, kind, namespaced };
}

export const pods = core<Pod>('pods', 'Pod');
export const nodes = core<Node>('nodes', 'Node', false);
export const namespaces = core<Namespace>('namespaces', 'Namespace', false);
export const secrets = core<Secret>('secrets', 'Secret');
export const configMaps = core<ConfigMap>('configmaps', 'ConfigMap');
export const events = core<CoreEvent>('events', 'Event');
export const leases: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};
export const podDisruptionBudgets: Resource<PodDisruptionBudget> = {
  group: 'policy',
  version: 'v1',
  plural: 'poddisruptionbudgets',
  kind: 'PodDisruptionBudget',
  namespaced: true,
};
export const customResourceDefinitions: Resource<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};
export const tokenReviews: Resource<TokenReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
};

export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The path of the collection in one namespace, or in all namespaces when none is given. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${resource.plural}`;
}

/** The path of one object. Throws TypeError when the kind is namespaced and `ref` has no namespace. */
export function objectPath(resource: Resource, ref: ObjectRef, subresource?: Subresource): string {
  if (resource.namespaced && !ref.namespace) throw new TypeError(`${resource.kind} ${ref.name}: namespace missing`);
  if (!ref.name) throw new TypeError(`${resource.kind}: name missing`);
  return `${collectionPath(resource, ref.namespace)}/${encodeURIComponent(ref.name)}${subresource ? `/${subresource}` : ''}`;
}
