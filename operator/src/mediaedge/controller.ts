import { isDeepStrictEqual } from 'node:util';
import type { MediaNode } from '@millrace/api';
import {
  byOwner,
  controllerOf,
  createController,
  objectKey,
  trigger,
  type Controller,
  type Node,
  type Pod,
} from '@millrace/kube';
import type { MediaEdgeDependencies } from './dependencies.ts';
import { MediaEdgeReconciler } from './reconcile.ts';

export const podIndexers = {
  owner: byOwner<Pod>,
  host: (pod: Pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []),
};
export const mediaNodeIndexers = {
  edge: (node: MediaNode) => [`${node.metadata.namespace}/${node.spec.edge}`],
};

/** Reconciles MediaEdges: pods, their MediaNodes, status. Keys are `namespace/name`. */
export function createMediaEdgeController(deps: MediaEdgeDependencies): Controller {
  const reconciler = new MediaEdgeReconciler(deps);
  const controller = createController({
    name: 'mediaedge',
    fence: deps.fence,
    logger: deps.logger,
    clock: deps.clock,
    random: deps.random,
    metrics: deps.metrics,
    reconcile: (key, context) => reconciler.reconcile(key, context),
    watches: [
      trigger(deps.edges, (edge) => [objectKey(edge)]),
      trigger(deps.pods, edgesOfPod),
      trigger(deps.nodes, mediaNodeIndexers.edge),
      {
        whenSynced: (signal) => deps.edges.whenSynced(signal),
        subscribe: (enqueue) =>
          deps.verdicts.onChange((namespace) => {
            for (const edge of deps.edges.store.list()) if (edge.metadata.namespace === namespace) enqueue(objectKey(edge));
          }),
      },
      trigger(deps.meshes, (mesh) =>
        deps.edges.store
          .list()
          .filter(
            ({ metadata, spec }) => metadata.namespace === mesh.metadata.namespace && spec.meshRef?.name === mesh.metadata.name,
          )
          .map(objectKey),
      ),
      ...(deps.hosts
        ? [trigger(deps.hosts, (host, change) => edgesOnHost(deps, host, change.type === 'updated' ? change.old : undefined))]
        : []),
    ],
  });
  return {
    ...controller,
    run: async (signal) => {
      try {
        await controller.run(signal);
      } finally {
        reconciler.close();
      }
    },
  };
}

function edgesOfPod(pod: Pod): string[] {
  const owner = controllerOf(pod);
  return owner?.kind === 'MediaEdge' ? [`${pod.metadata?.namespace ?? ''}/${owner.name}`] : [];
}

/** Hosts change every few seconds (heartbeats); edges depend only on their addresses and on whether they are cordoned. */
function edgesOnHost({ pods }: MediaEdgeDependencies, host: Node, old: Node | undefined): string[] {
  const isSame = (host.spec?.unschedulable ?? false) === (old?.spec?.unschedulable ?? false);
  if (isSame && isDeepStrictEqual(host.status?.addresses, old?.status?.addresses)) return [];
  return pods.store.byIndex('host', host.metadata?.name ?? '').flatMap(edgesOfPod);
}
