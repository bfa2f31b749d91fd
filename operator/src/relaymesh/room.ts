import { DEFAULT_PATH_POLICY_KEY } from '@millrace/api';
import { maxItemsOf } from '@millrace/api/crd-bounds';
import { mediaNodeCrd } from '@millrace/api/crds/definitions';
import type { MeshNode, NamedPolicy } from './model.ts';

/** Routes that one MediaNode holds at most. */
export const MAX_NODE_ROUTES = maxItemsOf(mediaNodeCrd, 'spec.routes');
/** Peers that one MediaNode holds at most. */
export const MAX_NODE_PEERS = maxItemsOf(mediaNodeCrd, 'spec.peers');

/** A route that a node should have: to the streams that are published in `origin`, under a path policy. */
export interface RouteRequest {
  readonly origin: string;
  readonly policy: NamedPolicy;
}

/**
 * Every route that viewers of one region may need, the most needed first, since a node has room for `MAX_NODE_ROUTES`: those that streams
 * take now; the default policy from every region, which serves all streams without a StreamRoute; then the other policies in rounds, one
 * policy of each region in a round. The order within a round is that of a hash, so that it is always the same, a policy more or less moves
 * few routes, and two regions leave out different ones.
 */
export function rankRouteRequests(
  region: string,
  origins: readonly string[],
  policies: readonly NamedPolicy[],
  isInUse: (request: RouteRequest) => boolean,
): RouteRequest[] {
  const used: RouteRequest[] = [];
  const standard: RouteRequest[] = [];
  const rounds: RouteRequest[][] = [];
  for (const origin of origins) {
    if (origin === region) continue;
    const rest: RouteRequest[] = [];
    for (const policy of policies) {
      const request = { origin, policy };
      if (isInUse(request)) used.push(request);
      else if (policy.key === DEFAULT_PATH_POLICY_KEY) standard.push(request);
      else rest.push(request);
    }
    for (const [round, request] of byHash(region, rest).entries()) (rounds[round] ??= []).push(request);
  }
  return [used, standard, ...rounds].flatMap((requests) => byHash(region, requests));
}

/**
 * The relays that each relay probes. Where there are more than a MediaNode has room for, the relays stand in a ring, one of each region
 * after the other, and each probes its neighbours on both sides: so a pair probes each other from both ends or not at all.
 */
export function peersOfRelays(relays: readonly MeshNode[], max = MAX_NODE_PEERS): ReadonlyMap<string, readonly MeshNode[]> {
  if (relays.length <= max + 1)
    return new Map(relays.map((relay) => [relay.name, relays.filter(({ name }) => name !== relay.name)]));
  const ring = interleaved(relays);
  const reach = Math.floor(max / 2);
  return new Map(
    ring.map((relay, at) => {
      const offsets = Array.from({ length: reach }, (_, i) => i + 1).flatMap((i) => [i, -i]);
      const peers = offsets.map((offset) => ring[(at + offset + ring.length) % ring.length] as MeshNode);
      return [relay.name, peers.sort((x, y) => (x.name < y.name ? -1 : 1))];
    }),
  );
}

/** The first relay of each region, then the second of each, and so on. */
function interleaved(relays: readonly MeshNode[]): MeshNode[] {
  const seen = new Map<string, number>();
  return relays
    .map((relay) => {
      const turn = seen.get(relay.region) ?? 0;
      seen.set(relay.region, turn + 1);
      return { relay, turn };
    })
    .sort((x, y) => x.turn - y.turn || compare(x.relay.region, y.relay.region) || compare(x.relay.name, y.relay.name))
    .map(({ relay }) => relay);
}

function byHash(region: string, requests: readonly RouteRequest[]): RouteRequest[] {
  return requests
    .map((request) => ({ request, name: `${region} ${request.origin} ${request.policy.key}` }))
    .map(({ request, name }) => ({ request, name, hash: hash32(name) }))
    .sort((x, y) => x.hash - y.hash || compare(x.name, y.name))
    .map(({ request }) => request);
}

function compare(x: string, y: string): number {
  return x < y ? -1 : x > y ? 1 : 0;
}

/** FNV-1a, 32 bits (draft-eastlake-fnv). */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
