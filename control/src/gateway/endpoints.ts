import { canonicalHost, type NodeEndpoints } from '@millrace/api';

/**
 * What is wrong with the endpoints that a node says are its own, as a sentence with the remedy; undefined when nothing is. A node that could name others'
 * addresses would send them clients with their tokens, and other nodes' trunks.
 * @param allowed addresses and names of its MediaNode, as canonicalHost writes them
 */
export function endpointProblem(endpoints: NodeEndpoints, allowed: readonly string[]): string | undefined {
  const { signalingUrl, host, otherHosts = [], opsUrl } = endpoints;
  const named: [field: string, host: string][] = [
    ['signalingUrl', hostOfUrl(signalingUrl)],
    ['host', host],
    ...otherHosts.map((other): [string, string] => ['otherHosts', other]),
    ['opsUrl', hostOfUrl(opsUrl)],
  ];
  const wrong = named.find(([, one]) => !allowed.includes(canonicalHost(one)));
  if (!wrong) return undefined;
  const [field, value] = wrong;
  return `endpoints.${field} names ${value}, which is not an address of this node: spec.addresses of its MediaNode are ${allowed.join(', ')}, from its pod and network.announcedAddress of its MediaEdge`;
}

/** Without the brackets of an IPv6 address. */
function hostOfUrl(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}
