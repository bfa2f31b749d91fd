import { createHash } from 'node:crypto';
import type { MeshNode } from './model.ts';

/** A node without the relay role is attached to at most this many relays of its region. */
const ATTACHED_RELAYS = 2;

/**
 * The relays through which a node reaches the mesh. A relay needs no other relay for that.
 * Present relays are kept while they exist. Others are chosen by highest random weight
 * (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998), so that nodes spread over relays
 * and a change of the set moves few nodes.
 */
export function attachedRelays(node: MeshNode, relaysOfRegion: readonly MeshNode[]): readonly string[] {
  if (node.roles.has('relay')) return [];
  const staying = relaysOfRegion.filter((relay) => !relay.leaving).map((relay) => relay.name);
  const kept = node.relays.filter((name) => staying.includes(name)).slice(0, ATTACHED_RELAYS);
  const rest = staying
    .filter((name) => !kept.includes(name))
    .map((name) => ({ name, weight: weight(node.name, name) }))
    .sort((x, y) => (x.weight < y.weight ? 1 : -1))
    .map(({ name }) => name);
  return [...kept, ...rest].slice(0, ATTACHED_RELAYS).sort();
}

function weight(node: string, relay: string): string {
  return createHash('sha256').update(`${node} ${relay}`).digest('hex');
}
