import { controllerOf, isNotFound, pods, type KubeClient, type Pod } from '@millrace/kube';

/**
 * Deletes the pods of an earlier run that look for control at another address, as when `make up HOST=…` follows `make up`: their nodes would never connect, and
 * the operator would wait for each of them to drain. Nothing runs in them, since the pod agent has not started. @returns how many there were
 */
export async function deletePodsOfOtherControl(
  client: KubeClient,
  { namespace, controlUrl, signal }: { namespace: string; controlUrl: string; signal: AbortSignal },
): Promise<number> {
  const { items } = await client.list(pods, { namespace, signal });
  const outdated = items.filter((pod) => looksElsewhere(pod, controlUrl));
  for (const { metadata } of outdated) {
    const options = { gracePeriodSeconds: 0, preconditions: { uid: metadata?.uid ?? '' }, signal };
    await client.delete(pods, { namespace, name: metadata?.name ?? '' }, options).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
  return outdated.length;
}

export function looksElsewhere(pod: Pod, controlUrl: string): boolean {
  if (controllerOf(pod)?.kind !== 'MediaEdge') return false;
  const variables = pod.spec?.containers.flatMap(({ env }) => env ?? []) ?? [];
  const url = variables.findLast(({ name }) => name === 'MILLRACE_CONTROL_URL')?.value;
  return url !== undefined && url !== controlUrl;
}
