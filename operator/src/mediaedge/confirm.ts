import { mediaEdges, mediaNodes, type MediaNode } from '@millrace/api';
import { pods, refOf, type KubeClient, type Pod } from '../kube/index.ts';
import type { EdgeObservation, EdgePlan } from './model.ts';
import { planEdge } from './plan.ts';

/** An observation and its plan, with everything that the plan deletes read from the API itself. */
export interface Confirmed {
  readonly observation: EdgeObservation;
  readonly plan: EdgePlan;
}

/**
 * Caches may be late by minutes without knowing. So a plan that deletes nodes is made again from what the API itself says about them and
 * their edge, until it deletes none that was not looked at so. Undefined when the edge is gone. Throws KubeError.
 */
export async function confirmDeletions(
  client: KubeClient,
  cached: EdgeObservation,
  signal: AbortSignal,
): Promise<Confirmed | undefined> {
  let observation = cached;
  let plan = planEdge(observation);
  const seen = new Set<string>();
  for (;;) {
    const names = plan.deletePods.map((pod) => refOf(pod).name).filter((name) => !seen.has(name));
    if (names.length === 0) return { observation, plan };
    const edge = await client.find(mediaEdges, refOf(observation.edge), { signal });
    if (!edge || edge.metadata.uid !== observation.edge.metadata.uid) return undefined;
    observation = { ...observation, edge };
    for (const name of names) {
      seen.add(name);
      const ref = { namespace: edge.metadata.namespace ?? '', name };
      const [pod, node] = await Promise.all([client.find(pods, ref, { signal }), client.find(mediaNodes, ref, { signal })]);
      observation = withInstance(observation, name, pod, node);
    }
    plan = planEdge(observation);
  }
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
