import { mediaEdgeCrd, relayMeshCrd, streamRouteCrd } from '@millrace/api/crds/definitions';
import { compileCrd, type JsonObject } from '@millrace/api/validation';

const crds = { edge: compileCrd(mediaEdgeCrd), mesh: compileCrd(relayMeshCrd), route: compileCrd(streamRouteCrd) };
const apiVersion = 'millrace.dev/v1alpha1';

export const EDGE_NAMES = ['east', 'west', 'north'];
const ROLES = [['push', 'pull', 'relay'], ['pull', 'relay'], ['pull']];
const REGIONS = ['tokyo', 'berlin', 'berlin'];

/** One of three edges: two with relays, in two regions, and a pull-only one in the second region. */
export function edgeOf(index: number, replicas: number): JsonObject {
  return withDefaults('edge', 'MediaEdge', EDGE_NAMES[index] ?? '', {
    region: REGIONS[index] ?? '',
    roles: ROLES[index] ?? [],
    meshRef: { name: 'world' },
    replicas,
    drain: { timeoutSeconds: 60, policy: index === 2 ? 'Wait' : 'Move' },
  });
}

export function meshOf(): JsonObject {
  return withDefaults('mesh', 'RelayMesh', 'world', {});
}

export function routeOf(policy: JsonObject = {}): JsonObject {
  return withDefaults('route', 'StreamRoute', 'all', { streams: ['live/*'], path: policy });
}

function withDefaults(crd: keyof typeof crds, kind: string, name: string, spec: JsonObject): JsonObject {
  const object: JsonObject = { apiVersion, kind, metadata: { name }, spec };
  crds[crd].applyDefaults(object);
  return object;
}
