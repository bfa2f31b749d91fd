import type { Container, Pod, PodStatus, Probe, Volume } from './pod.ts';
import { kubeTime } from './pod.ts';

const volumeKinds = ['emptyDir', 'hostPath', 'secret', 'configMap', 'projected'];

/** Features of a pod that processes of one machine cannot provide. Such a pod is refused rather than run differently. */
export function unsupported({ spec }: Pod): string[] {
  const { initContainers = [], ephemeralContainers = [], containers = [], volumes = [] } = spec ?? {};
  return [
    ...(initContainers.length > 0 ? ['spec.initContainers'] : []),
    ...(ephemeralContainers.length > 0 ? ['spec.ephemeralContainers'] : []),
    ...containers.flatMap(ofContainer),
    ...volumes.flatMap(ofVolume),
  ];
}

function ofContainer(container: Container): string[] {
  const at = `spec.containers[${container.name}]`;
  const probes = {
    startupProbe: container.startupProbe,
    livenessProbe: container.livenessProbe,
    readinessProbe: container.readinessProbe,
  };
  return [
    ...Object.keys(container.lifecycle ?? {}).map((hook) => `${at}.lifecycle.${hook}`),
    ...Object.entries(probes).flatMap(([name, probe]) => (probe && !canProbe(probe) ? [`${at}.${name}.grpc`] : [])),
  ];
}

const canProbe = ({ exec, httpGet, tcpSocket }: Probe) => Boolean(exec ?? httpGet ?? tcpSocket);

function ofVolume({ name, ...kinds }: Volume): string[] {
  const kind = Object.entries(kinds).find(([, source]) => source !== undefined)?.[0];
  return kind && !volumeKinds.includes(kind) ? [`spec.volumes[${name}].${kind}`] : [];
}

/** The status of a refused pod, like that of a pod that a kubelet does not admit: Failed, with the reason. */
export function refusedStatus(fields: readonly string[], nowMs: number): PodStatus {
  const message = `this node runs pods as processes of its machine and does not do ${fields.join(', ')}: remove that, or use a cluster`;
  const time = kubeTime(nowMs) as unknown as Date;
  const conditions = [
    { type: 'PodScheduled', status: 'True', lastTransitionTime: time },
    { type: 'Ready', status: 'False', reason: 'Unsupported', message, lastTransitionTime: time },
  ] as unknown as NonNullable<PodStatus['conditions']>;
  return { phase: 'Failed', reason: 'Unsupported', message, conditions };
}
