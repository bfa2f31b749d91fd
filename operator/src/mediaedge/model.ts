import type { MediaEdge, MediaNode } from '@millrace/api';
import type { Refusal } from '../attempts.ts';
import type { EventInput, Node, Pod } from '@millrace/kube';
import type { TrustVerdict } from '../control-tls/index.ts';
import type { PodSettings } from './pod.ts';

/** Everything the plan depends on. */
export interface EdgeObservation {
  readonly edge: MediaEdge;
  /** Pods that the edge controls, own writes included. */
  readonly pods: readonly Pod[];
  /** Whether the pod is being deleted, by the operator or somebody else. */
  readonly isDeleting: (pod: Pod) => boolean;
  /** Creations whose outcome is unknown. They count as nodes. */
  readonly uncertainCreates: number;
  readonly mediaNodes: readonly MediaNode[];
  /** The Kubernetes Node that a pod runs on; undefined where it is not known. */
  readonly hostOf: (pod: Pod) => Node | undefined;
  /** Cordoned hosts, which take no new pods (kubectl cordon, kubectl drain). */
  readonly cordonedHosts: ReadonlySet<string>;
  /** Objects that the edge refers to and that do not exist. */
  readonly missing: { readonly mesh: boolean };
  readonly tlsSecret: TlsSecret;
  /** Whether nodes can verify control. */
  readonly trust: TrustVerdict;
  readonly settings: PodSettings;
  /** The API's error, when it has just rejected a new pod (admission, quota, a missing ServiceAccount). */
  readonly createRefused?: string;
  /** Other writes for this edge that the API has just rejected. */
  readonly refusals?: readonly Refusal[];
  /** Set while pods of the current template keep failing and being replaced; undefined once none failed for a while, or all are ready. */
  readonly failing?: Failing | undefined;
  /** Whether a replica of control is alive. */
  readonly isReplicaAlive: (replica: string | undefined) => boolean;
  /** ms since the epoch. */
  readonly nowMs: number;
}

/** What is known of the Secret that network.tlsSecretRef names; `found` also if it names none. */
export type TlsSecret =
  | { readonly state: 'found' }
  | { readonly state: 'missing' }
  /** Not of type kubernetes.io/tls, for which the API server requires tls.crt and tls.key. */
  | { readonly state: 'otherType'; readonly type: string }
  /** The API's error, when the Secret cannot be read. */
  | { readonly state: 'unreadable'; readonly why: string };

export interface EdgePlan {
  /** How many pods to create. */
  readonly create: number;
  readonly deletePods: readonly Pod[];
  /** The desired MediaNodes, one for each pod. */
  readonly mediaNodes: readonly MediaNode[];
  /** MediaNodes whose pod is gone. */
  readonly deleteMediaNodes: readonly MediaNode[];
  /** Pods whose in-use label must change. */
  readonly inUse: readonly { readonly pod: Pod; readonly inUse: boolean }[];
  readonly finalizer: 'keep' | 'remove';
  readonly status: NonNullable<MediaEdge['status']>;
  /** Events about changes of nodes. */
  readonly events: readonly EventInput[];
  /** Events about changes of status. */
  readonly statusEvents: readonly EventInput[];
  readonly requeueAfterMs: number | undefined;
}

export interface Failing {
  /** ms since the epoch. */
  readonly sinceMs: number;
  /** Time of the last failure, ms since the epoch. */
  readonly lastMs: number;
  /** Description of the last failure: pod, reason, message. */
  readonly last: string;
}

/** The number of nodes that the edge should have now. */
export function wantedReplicas(edge: MediaEdge): number {
  return edge.metadata.deletionTimestamp ? 0 : edge.spec.replicas;
}
