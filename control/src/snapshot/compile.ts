import { createHash } from 'node:crypto';
import {
  MAX_SNAPSHOT_PEERS,
  type MeshSettings,
  type NodeSettings,
  type Peer,
  type PublicJwk,
  type StreamPolicy,
  type StreamState,
} from '@millrace/api';
import type { StreamEntry } from '../directory/index.ts';
import type { NodeAddress, NodeSpec } from '../fleet/index.ts';

export interface SettingsInput {
  spec: NodeSpec;
  /** Absent when the node belongs to no mesh, or when the mesh or its key does not exist yet. */
  mesh: MeshSettings | undefined;
  tokenKeys: readonly PublicJwk[];
  /** Of the node's key, base64; undefined before there is a key to sign it with. */
  certificate?: string | undefined;
  addressOf: (node: string) => NodeAddress | undefined;
}

/** All nodes whose addresses the settings of this one need, the most important first: relays, peers to probe, then routes in their order. */
export function mentions(spec: NodeSpec): Set<string> {
  const names = new Set<string>([...spec.relays, ...spec.peers.map((peer) => peer.node)]);
  for (const route of spec.routes) for (const path of route.paths) for (const hop of path.hops) names.add(hop);
  names.delete(spec.name);
  return names;
}

/**
 * The settings of one node. A node whose address is unknown is left out of peers and probe, and so are paths over it. The same goes for nodes
 * beyond MAX_SNAPSHOT_PEERS.
 */
export function compileSettings({ spec, mesh, tokenKeys, certificate, addressOf }: SettingsInput): NodeSettings {
  const peers: Peer[] = [];
  for (const name of mentions(spec)) {
    const address = addressOf(name);
    if (address) peers.push({ node: name, ...address });
    if (peers.length === MAX_SNAPSHOT_PEERS) break;
  }
  peers.sort((a, b) => (a.node < b.node ? -1 : 1));
  const known = new Set([spec.name, ...peers.map((peer) => peer.node)]);
  return {
    generation: spec.generation,
    self: {
      node: spec.name,
      region: spec.region,
      cordoned: spec.cordoned,
      ...(spec.drain ? { drain: { ...spec.drain } } : {}),
      ...(certificate === undefined ? {} : { certificate }),
    },
    tokenKeys: [...tokenKeys],
    ...(mesh ? { mesh } : {}),
    peers,
    probe: spec.peers.map((peer) => peer.node).filter((name) => known.has(name) && name !== spec.name),
    relays: spec.relays.filter((name) => known.has(name)),
    routes: spec.routes.flatMap(({ originRegion, policy, paths }) => {
      const whole = paths.filter((path) => path.hops.every((hop) => known.has(hop))).map((path) => ({ hops: [...path.hops] }));
      return whole.length > 0 ? [{ originRegion, policy, paths: whole }] : [];
    }),
  };
}

/** @param hold whether the node keeps the stream even without a viewer */
export function compileStream(
  entry: StreamEntry,
  policy: StreamPolicy,
  { hold = false, grant }: { hold?: boolean; grant?: string | undefined } = {},
): StreamState {
  const { stream, epoch, node, region, host, otherHosts, port, since, tracks } = entry;
  const origin = { node, region, host, ...(otherHosts ? { otherHosts } : {}), port };
  return { stream, epoch, origin, since, tracks, policy, ...(grant === undefined ? {} : { grant }), ...(hold ? { hold } : {}) };
}

/** Digest of settings: equal settings have equal digests, whichever replica compiled them. */
export function digestOf(settings: NodeSettings): string {
  return createHash('sha256').update(canonical(settings)).digest('base64url').slice(0, 22);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
