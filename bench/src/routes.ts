import type { Topology } from '@millrace/api';
import { eventually, type TestNetwork } from '@millrace/testbed/network';

export const PUBLISHED_IN = 'tokyo';
export const WATCHED_IN = 'virginia';

export async function waitUntilKnown(network: TestNetwork, stream: string): Promise<void> {
  await eventually(`${stream} is known`, 15_000, async () =>
    (await network.topology()).streams.some((each) => each.stream === stream) ? true : undefined,
  );
}

/** The nodes on the path of a stream, as reported by the viewers' node: the nearest first, the origin last. */
export async function upstreamOf(network: TestNetwork, stream: string, watchedIn = WATCHED_IN): Promise<readonly string[]> {
  return eventually(`the path of ${stream} is reported`, 20_000, async () => {
    const view = (await network.topology()).streams.find((each) => each.stream === stream);
    const edges = (view?.paths ?? []).filter((path) => path.role === 'edge' && path.region === watchedIn);
    return edges.map(({ hops }) => hops).find((hops) => hops.length > 0);
  });
}

/** Returns, for example, `tokyo-push > tokyo-relay > virginia-relay > virginia-pull`. */
export async function describePath(network: TestNetwork, hops: readonly string[], viewersEdge: string): Promise<string> {
  const { nodes } = await network.topology();
  const edgeOf = (node: string) => nodes.find((each) => each.node === node)?.edge ?? node;
  return [viewersEdge, ...hops.map(edgeOf)].reverse().join(' > ');
}

/** Whether every node is connected and every route of the viewers' region has a backup. */
export function isWhole({ nodes, routes }: Topology, nodeCount: number): boolean {
  const backed = routes.filter(({ from, to }) => from === PUBLISHED_IN && to === WATCHED_IN);
  return (
    nodes.filter(({ connected, draining }) => connected && !draining).length >= nodeCount &&
    backed.length > 0 &&
    backed.every(({ backup }) => backup !== undefined)
  );
}
