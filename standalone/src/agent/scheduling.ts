import type { Pod } from './pod.ts';

/** Why a pod cannot run on this node now; undefined when it can. `others` are the pods that already run here. */
export function obstacle(pod: Pod, nodeLabels: Readonly<Record<string, string>>, others: readonly Pod[]): string | undefined {
  const selector = Object.entries(pod.spec?.nodeSelector ?? {});
  const lacking = selector.find(([key, value]) => nodeLabels[key] !== value);
  if (lacking) return `the node has no label ${lacking[0]}=${lacking[1]}`;
  const taken = new Set(others.filter(isLive).flatMap(hostPorts));
  const clash = hostPorts(pod).find((port) => taken.has(port));
  return clash === undefined ? undefined : `the node's port ${clash} is taken`;
}

function isLive({ status }: Pod): boolean {
  return status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
}

function hostPorts({ spec }: Pod): string[] {
  return (spec?.containers ?? []).flatMap(({ ports }) =>
    (ports ?? []).flatMap(({ hostPort, protocol = 'TCP' }) => (hostPort ? [`${hostPort}/${protocol}`] : [])),
  );
}
