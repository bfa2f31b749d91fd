import type { MediaEdge, MediaNode, RelayMesh } from '@millrace/api';
import type { Informer, Node, Pod } from '@millrace/kube';
import type { TrustVerdicts } from '../control-tls/index.ts';
import type { ControlReplicas } from '../liveness/control-replicas.ts';
import type { TermDependencies } from '../term.ts';
import type { EdgeMetrics } from './metrics.ts';
import type { PodSettings } from './pod.ts';

/** What the MediaEdge controller works with. */
export interface MediaEdgeDependencies extends TermDependencies {
  readonly edges: Informer<MediaEdge>;
  /** With the indexes of `podIndexers`. */
  readonly pods: Informer<Pod>;
  /** With the indexes of `mediaNodeIndexers`. */
  readonly nodes: Informer<MediaNode>;
  readonly meshes: Informer<RelayMesh>;
  /** Kubernetes Nodes, to see which are cordoned; absent where the operator may not read them. */
  readonly hosts?: Informer<Node> | undefined;
  readonly replicas: ControlReplicas;
  /** Whether nodes can verify control. */
  readonly verdicts: TrustVerdicts;
  readonly settings: PodSettings;
  readonly edgeMetrics?: EdgeMetrics | undefined;
}
