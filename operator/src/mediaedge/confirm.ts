import { mediaEdges, mediaNodes, type MediaNode } from '@millrace/api';
import { pods, refOf, type KubeClient, type Pod } from '@millrace/kube';
import type { EdgeObservation, EdgePlan } from './model.ts';
import { planEdge } from './plan.ts';
import { selectorOf } from './pod.ts';

/** An observation and its plan, in which everything that the plan deletes or replaces was read from the API. */
export interface Confirmed {
  readonly observation: EdgeObservation;
  readonly plan: EdgePlan;
}

/**
 * A cache may lag by minutes unnoticed, and after a restore of the API each cache may show a different time. Before the operator deletes
 * nodes, it therefore reads them and their edge from the API and plans again, until the plan deletes only nodes that it has read. Before it
 * creates nodes, it lists the edge's pods from the API. Returns undefined when the edge is gone. Throws KubeError.
 */
export async function confirmPlan(
  client: KubeClient,
  cached: EdgeObservation,
  signal: AbortSignal,
): Promise<Confirmed | undefined> {
  let observation = cached;
  let plan = planEdge(observation);
  const seen = new Set<string>();
  let isListed = false;
  for (;;) {
    const names = plan.deletePods.map((pod) => refOf(pod).name).filter((name) => !seen.has(name));
    const toList = plan.create > 0 && !isListed;
    if (names.length === 0 && !toList) return { observation, plan };
    const edge = await client.find(mediaEdges, refOf(observation.edge), { signal });
    if (!edge || edge.metadata.uid !== observation.edge.metadata.uid) return undefined;
    observation = { ...observation, edge };
    if (toList) {
      observation = await listed(client, observation, signal);
      isListed = true;
    }
    for (const name of names) {
      seen.add(name);
      const ref = { namespace: edge.metadata.namespace ?? '', name };
      const [pod, node] = await Promise.all([client.find(pods, ref, { signal }), client.find(mediaNodes, ref, { signal })]);
      observation = withInstance(observation, name, pod, node);
    }
    plan = planEdge(observation);
  }
}

async function listed(client: KubeClient, observation: EdgeObservation, signal: AbortSignal): Promise<EdgeObservation> {
  const { name, namespace = '', uid } = observation.edge.metadata;
  const selection = { namespace, labelSelector: selectorOf(name), signal };
  const [ownPods, nodes] = await Promise.all([client.listAll(pods, selection), client.listAll(mediaNodes, selection)]);
  const own = ownPods.items.filter((pod) => pod.metadata?.ownerReferences?.some((owner) => owner.uid === uid));
  return { ...observation, pods: own, mediaNodes: nodes.items };
}

function withInstance(
  observation: EdgeObservation,
  name: string,
  pod: Pod | undefined,
  node: MediaNode | undefined,
): EdgeObservation {
  return {
    ...observation,
    pods: [...observation.pods.filter((one) => refOf(one).name !== name), ...(pod ? [pod] : [])],
    mediaNodes: [...observation.mediaNodes.filter((one) => refOf(one).name !== name), ...(node ? [node] : [])],
  };
}
