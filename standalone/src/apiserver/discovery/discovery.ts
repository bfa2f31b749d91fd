import type { Registry } from '../registry.ts';
import type { ResourceType, Subresource } from '../resource-type.ts';

const allVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const subresourceVerbs: Record<Subresource, string[]> = {
  status: ['get', 'patch', 'update'],
  scale: ['get', 'patch', 'update'],
  binding: ['create'],
  eviction: ['create'],
  log: ['get'],
  token: ['create'],
};
const subresourceKinds: Partial<Record<Subresource, { group: string; version: string; kind: string }>> = {
  scale: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
  eviction: { group: 'policy', version: 'v1', kind: 'Eviction' },
  binding: { group: '', version: 'v1', kind: 'Binding' },
  token: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
};
const verbsOf = (type: ResourceType) =>
  type.virtual ? ['create'] : allVerbs.filter((verb) => verb !== 'deletecollection' || type.deletesCollections);

/** APIResourceList of one group version; undefined when nothing is served there. */
export function resourceList(registry: Registry, group: string, version: string): object | undefined {
  const types = registry.all().filter((type) => type.group === group && type.version === version);
  if (types.length === 0) return undefined;
  const resources = types.flatMap((type) => [
    {
      name: type.plural,
      singularName: type.singular,
      namespaced: type.namespaced,
      kind: type.kind,
      verbs: verbsOf(type),
      ...(type.shortNames.length ? { shortNames: type.shortNames } : {}),
      ...(type.categories.length ? { categories: type.categories } : {}),
    },
    ...type.subresources.map((subresource) => {
      const kind = subresourceKinds[subresource];
      return {
        name: `${type.plural}/${subresource}`,
        singularName: '',
        namespaced: type.namespaced,
        kind: kind?.kind ?? type.kind,
        ...(kind ? { group: kind.group, version: kind.version } : {}),
        verbs: subresourceVerbs[subresource],
      };
    }),
  ]);
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: group ? `${group}/${version}` : version, resources };
}

function groupEntry(name: string, versions: Iterable<string>): object {
  const list = [...versions].map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: list, preferredVersion: list[0] };
}

/** APIGroupList, or one APIGroup. */
export function groupList(registry: Registry): object {
  const groups = [...registry.groups()].filter(([name]) => name !== '').map(([name, versions]) => groupEntry(name, versions));
  return { kind: 'APIGroupList', apiVersion: 'v1', groups };
}
export function oneGroup(registry: Registry, name: string): object | undefined {
  const versions = registry.groups().get(name);
  return versions && { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(name, versions) };
}

export const aggregatedMediaType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** Whether the client accepts aggregated discovery in version v2. */
export function wantsAggregated(accept: string | undefined): boolean {
  return (accept ?? '')
    .split(',')
    .some(
      (choice) => /g=apidiscovery\.k8s\.io/.test(choice) && /v=v2(;|$)/.test(choice) && /as=APIGroupDiscoveryList/.test(choice),
    );
}

/** APIGroupDiscoveryList of the core group (`/api`) or of all named groups (`/apis`). */
export function aggregatedDiscovery(registry: Registry, root: 'api' | 'apis'): object {
  const groups = [...registry.groups()].filter(([name]) => (name === '') === (root === 'api'));
  const items = groups.map(([name, versions]) => ({
    metadata: { ...(name ? { name } : {}), creationTimestamp: null },
    versions: [...versions].map((version) => ({
      version,
      freshness: 'Current',
      resources: registry
        .all()
        .filter((type) => type.group === name && type.version === version)
        .map(aggregatedResource),
    })),
  }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function aggregatedResource(type: ResourceType): object {
  return {
    resource: type.plural,
    responseKind: { group: type.group, version: type.version, kind: type.kind },
    scope: type.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: type.singular,
    verbs: verbsOf(type),
    ...(type.shortNames.length ? { shortNames: type.shortNames } : {}),
    ...(type.categories.length ? { categories: type.categories } : {}),
    subresources: type.subresources.map((subresource) => ({
      subresource,
      responseKind: subresourceKinds[subresource] ?? { group: type.group, version: type.version, kind: type.kind },
      verbs: subresourceVerbs[subresource],
    })),
  };
}
