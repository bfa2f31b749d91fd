import type { MediaEdge, MediaNode, RelayMesh } from '@millrace/api';
import type { Clock, Logger } from '@millrace/service';
import {
  byOwner,
  controllerOf,
  createController,
  objectKey,
  trigger,
  type Controller,
  type EventRecorder,
  type Fence,
  type Informer,
  type KubeClient,
  type KubeMetrics,
  type Node,
  type Pod,
} from '../kube/index.ts';
import type { ControlReplicas } from '../liveness/control-replicas.ts';
import type { EdgeMetrics } from './metrics.ts';
import type { PodSettings } from './pod.ts';
import { MediaEdgeReconciler } from './reconcile.ts';

export interface MediaEdgeDependencies {
  /** Fenced: writes only while this process leads. */
  readonly client: KubeClient;
  readonly fence: Fence;
  readonly edges: Informer<MediaEdge>;
  /** With the indexes of `podIndexers`. */
  readonly pods: Informer<Pod>;
  /** With the indexes of `mediaNodeIndexers`. */
  readonly nodes: Informer<MediaNode>;
  readonly meshes: Informer<RelayMesh>;
  /** Kubernetes Nodes, to see which are cordoned; absent where the operator may not read them. */
  readonly hosts?: Informer<Node> | undefined;
  readonly replicas: ControlReplicas;
  readonly recorder: EventRecorder;
  readonly settings: PodSettings;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics?: KubeMetrics | undefined;
  readonly edgeMetrics?: EdgeMetrics | undefined;
}

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
    metrics: deps.metrics,
    reconcile: (key, context) => reconciler.reconcile(key, context),
    watches: [
      trigger(deps.edges, (edge) => [objectKey(edge)]),
      trigger(deps.pods, edgesOfPod),
      trigger(deps.nodes, mediaNodeIndexers.edge),
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

/** Hosts change every few seconds (heartbeats); only a cordon or its end concerns edges. */
function edgesOnHost({ pods }: MediaEdgeDependencies, host: Node, old: Node | undefined): string[] {
  if ((host.spec?.unschedulable ?? false) === (old?.spec?.unschedulable ?? false)) return [];
  return pods.store.byIndex('host', host.metadata?.name ?? '').flatMap(edgesOfPod);
}
