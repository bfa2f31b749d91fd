import type { MediaEdge, MediaNode } from '@millrace/api';
import type { Refusal } from '../attempts.ts';
import type { EventInput, Pod } from '@millrace/kube';
import type { PodSettings } from './pod.ts';

/** Everything the plan depends on. */
export interface EdgeObservation {
  readonly edge: MediaEdge;
  /** Pods that the edge controls, own writes included. */
  readonly pods: readonly Pod[];
  /** Being deleted, by anybody. */
  readonly isDeleting: (pod: Pod) => boolean;
  /** Creations whose outcome is unknown: they count as nodes. */
  readonly uncertainCreates: number;
  readonly mediaNodes: readonly MediaNode[];
  /** Hosts that take no new pods (kubectl cordon, kubectl drain). */
  readonly cordonedHosts: ReadonlySet<string>;
  /** What the edge refers to and does not exist. */
  readonly missing: { readonly mesh: boolean; readonly tlsSecret: boolean };
  /** Why the API does not say whether the TLS Secret exists. */
  readonly tlsSecretUnreadable?: string | undefined;
  readonly settings: PodSettings;
  /** Why the API took no new pod (admission, quota, a ServiceAccount that is missing), when it was just tried. */
  readonly createRefused?: string;
  /** Other writes for this edge that the API has just refused. */
  readonly refusals?: readonly Refusal[];
  /** Pods of the current template fail and are replaced, one after the other; undefined when none did for a while, or all are ready. */
  readonly failing?: Failing | undefined;
  /** Whether a replica of control is alive. */
  readonly isReplicaAlive: (replica: string | undefined) => boolean;
  /** ms since the epoch. */
  readonly nowMs: number;
}

export interface EdgePlan {
  /** How many pods to make. */
  readonly create: number;
  readonly deletePods: readonly Pod[];
  /** MediaNodes as they should be, one for each pod. */
  readonly mediaNodes: readonly MediaNode[];
  /** MediaNodes whose pod is gone. */
  readonly deleteMediaNodes: readonly MediaNode[];
  /** Pods whose in-use label is not right. */
  readonly inUse: readonly { readonly pod: Pod; readonly inUse: boolean }[];
  readonly finalizer: 'keep' | 'remove';
  readonly status: NonNullable<MediaEdge['status']>;
  /** The changes to nodes. */
  readonly events: readonly EventInput[];
  /** The changes of the status. */
  readonly statusEvents: readonly EventInput[];
  readonly requeueAfterMs: number | undefined;
}

export interface Failing {
  /** ms since the epoch. */
  readonly sinceMs: number;
  /** The last failure. */
  readonly lastMs: number;
  /** What is known of it. */
  readonly last: string;
}

/** Nodes that the edge wants now. */
export function wantedReplicas(edge: MediaEdge): number {
  return edge.metadata.deletionTimestamp ? 0 : edge.spec.replicas;
}
