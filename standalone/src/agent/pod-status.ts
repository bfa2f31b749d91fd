import { ipFamilyOf } from '@millrace/api';
import type { Addresses } from './environment.ts';
import type { ContainerStatus, Pod, PodStatus } from './pod.ts';
import { kubeTime } from './pod.ts';
import { shouldRestart } from './restart-policy.ts';

type Condition = NonNullable<PodStatus['conditions']>[number];

/** Derives the status of a pod from that of its containers. `previous` keeps transition times; `nowMs` is wall time. */
export function podStatus(
  pod: Pod,
  containers: ContainerStatus[],
  previous: PodStatus | undefined,
  { hostIPs, podIPs }: Addresses,
  nowMs: number,
): PodStatus {
  const phase = phaseOf(pod, containers);
  const unready = containers.filter((status) => !status.ready).map((status) => status.name);
  const over = phase === 'Succeeded' || phase === 'Failed';
  const why = over ? 'PodCompleted' : 'ContainersNotReady';
  const message = `containers with unready status: [${unready.join(' ')}]`;
  const ready = unready.length === 0 ? { status: 'True' } : { status: 'False', reason: why, message };
  const wanted: Omit<Condition, 'lastTransitionTime'>[] = [
    { type: 'PodScheduled', status: 'True' },
    { type: 'Initialized', status: 'True' },
    { type: 'ContainersReady', ...ready },
    { type: 'Ready', ...ready },
  ];
  const conditions = wanted.map((condition): Condition => {
    const known = previous?.conditions?.find(
      (candidate) => candidate.type === condition.type && candidate.status === condition.status,
    );
    return { ...condition, lastTransitionTime: known?.lastTransitionTime ?? kubeTime(nowMs) };
  });
  return {
    phase,
    conditions,
    hostIP: hostIPs[0]!,
    hostIPs: oneOfEachFamily(hostIPs),
    podIP: podIPs[0]!,
    podIPs: oneOfEachFamily(podIPs),
    startTime: previous?.startTime ?? kubeTime(nowMs),
    containerStatuses: containers,
  };
}

/** A kube-apiserver refuses a pod status with two addresses of one family. The pod's environment has all of them. */
function oneOfEachFamily(addresses: readonly string[]): { ip: string }[] {
  const families = addresses.map(ipFamilyOf);
  return addresses.filter((_, index) => families.indexOf(families[index]) === index).map((ip) => ({ ip }));
}

function phaseOf(pod: Pod, containers: ContainerStatus[]): string {
  const { restartPolicy } = pod.spec ?? {};
  const over = containers.every(
    ({ state }) => state?.terminated && !shouldRestart(restartPolicy, { exitCode: state.terminated.exitCode }),
  );
  if (over && containers.length > 0)
    return containers.every(({ state }) => state?.terminated?.exitCode === 0) ? 'Succeeded' : 'Failed';
  const begun = containers.every(({ state, lastState }) => state?.running ?? state?.terminated ?? lastState?.terminated);
  return begun ? 'Running' : 'Pending';
}
