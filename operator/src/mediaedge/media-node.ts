import { mediaNodes, type MediaEdge, type MediaNode } from '@millrace/api';
import { apiVersionOf, controllerRef, formatTime, type Node, type Pod } from '@millrace/kube';
import { ownAddresses } from './own-addresses.ts';
import type { Instance } from './instance.ts';
import { LABEL } from './names.ts';

/**
 * The fields of a MediaNode that this controller applies: identity, addresses and drain. The RelayMesh controller applies the routes.
 * @param host the Kubernetes Node of its pod
 */
export function desiredMediaNode(edge: MediaEdge, instance: Instance, host: Node | undefined, nowMs: number): MediaNode {
  const leaving = instance.state !== 'active';
  const addresses = ownAddresses(instance.pod, host) ?? instance.node?.spec.addresses;
  return {
    apiVersion: apiVersionOf(mediaNodes) as 'millrace.dev/v1alpha1',
    kind: 'MediaNode',
    metadata: {
      name: instance.name,
      namespace: edge.metadata.namespace ?? '',
      labels: { [LABEL.edge]: edge.metadata.name, [LABEL.region]: edge.spec.region },
      ownerReferences: [controllerRef(edge)],
    },
    spec: {
      ...identity(edge, instance),
      pod: { name: instance.name, uid: instance.pod.metadata?.uid ?? '' },
      ...(addresses ? { addresses } : {}),
      cordoned: leaving,
      ...(leaving ? { drain: drain(edge, instance, nowMs) } : {}),
    },
  };
}

/** A pod of an older template keeps the settings of that template. */
function identity(
  edge: MediaEdge,
  instance: Instance,
): Pick<MediaNode['spec'], 'edge' | 'mesh' | 'region' | 'provider' | 'isp' | 'roles' | 'capacity'> {
  const { spec } = instance.node && !instance.current ? instance.node : edge;
  const mesh = 'edge' in spec ? spec.mesh : spec.meshRef?.name;
  return {
    edge: edge.metadata.name,
    ...(mesh ? { mesh } : {}),
    region: spec.region,
    provider: spec.provider,
    ...(spec.isp ? { isp: spec.isp } : {}),
    roles: [...spec.roles].sort(),
    capacity: { sessions: spec.capacity.sessions, egressMbps: spec.capacity.egressMbps },
  };
}

/** A pod that somebody else deletes is gone after its grace period, whatever the drain policy of the edge. */
function drain(edge: MediaEdge, instance: Instance, nowMs: number): NonNullable<MediaNode['spec']['drain']> {
  const since = instance.node?.spec.drain?.since ?? formatTime(nowMs);
  const deadlineMs = Date.parse(since) + edge.spec.drain.timeoutSeconds * 1000;
  const deletedAt = instance.pod.metadata?.deletionTimestamp;
  if (deletedAt && Date.parse(deletedAt) < deadlineMs) return { policy: 'Move', since, deadline: deletedAt };
  return { policy: edge.spec.drain.policy, since, deadline: formatTime(deadlineMs) };
}

/** MediaNodes whose pod is gone, or that belong to an earlier pod of the same name. */
export function nodesWithoutPod(nodes: readonly MediaNode[], pods: readonly Pod[]): MediaNode[] {
  const uids = new Set(pods.map((pod) => pod.metadata?.uid));
  return nodes.filter((node) => !node.metadata.deletionTimestamp && !uids.has(node.spec.pod.uid));
}
