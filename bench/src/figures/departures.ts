import { eventually } from '@millrace/testbed/network';
import { pidOfNode } from '@millrace/testbed/node-process';
import type { Cluster } from '../cluster.ts';

/** A way in which a relay is removed. */
export interface Departure {
  readonly name: string;
  readonly what: string;
  readonly planned: boolean;
  /** Called before the quiet period. Returns a function that restores the network. */
  prepare(cluster: Cluster, node: string): Promise<() => Promise<void>>;
  strike(cluster: Cluster, node: string): Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

export const DEPARTURES: readonly Departure[] = [
  {
    name: 'kill -9',
    what: 'its process is killed; its neighbours detect missed heartbeats',
    planned: false,
    prepare: async () => nothing,
    strike: async (_cluster, node) => void process.kill(pidOfNode(node), 'SIGKILL'),
  },
  {
    name: 'delete pod',
    what: 'kubectl delete pod: SIGTERM, with 30 s of grace',
    planned: true,
    prepare: async () => nothing,
    strike: (cluster, node) => cluster.deletePod(node),
  },
  {
    name: 'scale down',
    what: 'kubectl scale mediaedge: the operator drains it, routes leave it, then its pod is deleted',
    planned: true,
    prepare: async (cluster, node) => {
      const edge = await cluster.edgeOf(node);
      const pods = await cluster.podsOf(edge);
      await makeOldest(cluster, edge, node);
      return () => cluster.scale(edge, pods.length);
    },
    strike: async (cluster, node) => {
      const edge = await cluster.edgeOf(node);
      await cluster.scale(edge, (await cluster.podsOf(edge)).length - 1);
    },
  },
];

/** The operator removes the oldest relay first, so older ones are replaced before the measurement. */
async function makeOldest(cluster: Cluster, edge: string, node: string): Promise<void> {
  const pods = await cluster.podsOf(edge);
  const older = pods.slice(0, pods.indexOf(node));
  for (const pod of older) await cluster.deletePod(pod);
  await eventually(`${node} is the oldest of ${edge}`, 60_000, async () => {
    const now = await cluster.podsOf(edge);
    return now[0] === node && now.length === pods.length ? true : undefined;
  });
}
