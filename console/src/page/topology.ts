import type { Topology, TopologyLink } from '@millrace/api';

export type { Topology, TopologyLink, TopologyNode } from '@millrace/api';

/** Follows the network: calls back with each picture of it, and with whether control answers. */
export function followTopology(onTopology: (topology: Topology) => void, onState: (isConnected: boolean) => void): void {
  const source = new EventSource('api/topology/events');
  source.addEventListener('topology', (event) => onTopology(JSON.parse((event as MessageEvent<string>).data) as Topology));
  source.addEventListener('open', () => onState(true));
  source.addEventListener('error', () => onState(false));
}

/** The nodes that media of a stream passes on its way to a region, origin first; empty if nobody watches there. */
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

/** The backup that the region's nodes hold for the stream's route, origin first. */
export function backupOf(topology: Topology, stream: string, region: string): string[] {
  const view = topology.streams.find((each) => each.stream === stream);
  const route = topology.routes.find(
    (each) => each.from === view?.origin.region && each.to === region && each.policy === view.policy.policyKey,
  );
  return view && route?.backup
    ? [view.origin.node, ...[...route.backup].reverse().filter((hop) => hop !== view.origin.node), route.node]
    : [];
}

/** What is measured between two nodes, from either end. */
export function linkBetween(topology: Topology, a: string, b: string): TopologyLink | undefined {
  return topology.links.find((link) => (link.from === a && link.to === b) || (link.from === b && link.to === a));
}
