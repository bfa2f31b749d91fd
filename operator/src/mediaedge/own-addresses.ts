import { canonicalHost, hostProblem, MAX_HOSTS } from '@millrace/api';
import type { Node, Pod } from '@millrace/kube';
import { CONTAINER } from './names.ts';

/** Addresses of a host that pods on it may announce. */
const HOST_ADDRESS_TYPES = new Set(['InternalIP', 'ExternalIP']);
const MAX_ADDRESSES = 2 * MAX_HOSTS;

/**
 * The IP addresses and DNS names under which the node in a pod may announce itself: those of the source that its own environment names. Undefined while the
 * pod has none, as before the kubelet has started it.
 * @param host the Kubernetes Node that it runs on, where that may be read: it can have more addresses than the pod's status shows
 */
export function ownAddresses(pod: Pod, host: Node | undefined): string[] | undefined {
  const found = hostsOf(pod, host)
    .filter((text) => text !== '' && hostProblem(text) === undefined)
    .map(canonicalHost);
  return found.length === 0 ? undefined : [...new Set(found)].slice(0, MAX_ADDRESSES).sort();
}

function hostsOf(pod: Pod, host: Node | undefined): string[] {
  const { hostIP, hostIPs, podIP, podIPs } = pod.status ?? {};
  switch (environmentOf(pod, 'MILLRACE_ANNOUNCED_SOURCE')) {
    case 'Static':
      return (environmentOf(pod, 'MILLRACE_ANNOUNCED_ADDRESSES') ?? '').split(',').map((address) => address.trim());
    case 'PodIP': {
      const ips = ipsOf(podIP, podIPs);
      return pod.spec?.hostNetwork ? [...ips, ...addressesOf(host, ips)] : ips;
    }
    default: {
      const ips = ipsOf(hostIP, hostIPs);
      return [...ips, ...addressesOf(host, ips)];
    }
  }
}

/** A Node object alone does not show that the pod runs: without an IP of its own it has no addresses yet. */
function addressesOf(host: Node | undefined, ips: readonly string[]): string[] {
  if (ips.length === 0) return [];
  return (host?.status?.addresses ?? []).flatMap(({ type, address }) => (HOST_ADDRESS_TYPES.has(type) ? [address] : []));
}

function ipsOf(first: string | undefined, all: readonly { ip?: string | undefined }[] | undefined): string[] {
  return [first, ...(all ?? []).map(({ ip }) => ip)].flatMap((ip) => ip || []);
}

/** Of several variables of one name the last one counts, as for the kubelet. */
function environmentOf(pod: Pod, name: string): string | undefined {
  const container = pod.spec?.containers.find((one) => one.name === CONTAINER);
  return container?.env?.findLast((variable) => variable.name === name)?.value;
}
