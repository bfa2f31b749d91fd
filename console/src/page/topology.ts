import type { Topology, TopologyLink } from '@millrace/api';

export type { Topology, TopologyLink, TopologyNode } from '@millrace/api';

/** Follows the topology events; reports each topology, and whether control answers. */
export function followTopology(onTopology: (topology: Topology) => void, onState: (isConnected: boolean) => void): void {
  const source = new EventSource('api/topology/events');
  source.addEventListener('topology', (event) => onTopology(JSON.parse((event as MessageEvent<string>).data) as Topology));
  source.addEventListener('open', () => onState(true));
  source.addEventListener('error', () => onState(false));
}

/** The nodes on a stream's path to a region, origin first; empty if the region has no viewer. */
export function pathOf(topology: Topology, stream: string, region: string): string[] {
  const served =
    topology.streams
      .find((view) => view.stream === stream)
      ?.paths.filter((path) => path.role === 'edge' && path.region === region) ?? [];
  const path = served.reduce<(typeof served)[number] | undefined>(
    (best, each) => (!best || each.viewers > best.viewers ? each : best),
    undefined,
  );
  return path ? [...path.hops].reverse().concat(path.node) : [];
}

/** The backup of the stream's route on the region's nodes, origin first. */
export function backupOf(topology: Topology, stream: string, region: string): string[] {
  const view = topology.streams.find((each) => each.stream === stream);
  const route = topology.routes.find(
    (each) => each.from === view?.origin.region && each.to === region && each.policy === view.policy.policyKey,
  );
  return view && route?.backup
    ? [view.origin.node, ...[...route.backup].reverse().filter((hop) => hop !== view.origin.node), route.node]
    : [];
}

/** The measured link between two nodes, whichever end reported it. */
export function linkBetween(topology: Topology, a: string, b: string): TopologyLink | undefined {
  return topology.links.find((link) => (link.from === a && link.to === b) || (link.from === b && link.to === a));
}
