import { canonicalHost, ipFamilyOf, isLoopbackHost, type IpFamily } from '@millrace/api';

/** All addresses of a family. */
export const WILDCARD: Readonly<Record<IpFamily, string>> = { 4: '0.0.0.0', 6: '::' };

export interface BindInput {
  /** IP addresses and DNS names that are announced. */
  hosts: readonly string[];
  /** IP addresses of this machine's interfaces. */
  machine: readonly string[];
  /** Families that sockets can be opened for. */
  families: readonly IpFamily[];
}

/**
 * The addresses that media sockets are bound to. Where each announced address of a family is one of the machine's own, those: answers then leave from
 * the address that the client sent to. Otherwise (one-to-one NAT, an address that moves in later, or a name, whose addresses may change) all of the
 * family.
 */
export function planBinds({ hosts, machine, families }: BindInput): string[] {
  const own = new Set(machine.map(canonicalHost));
  const hasNames = hosts.some((host) => ipFamilyOf(host) === undefined);
  return families.flatMap((family) => {
    const announced = hosts.filter((host) => ipFamilyOf(host) === family);
    if (hasNames) return [WILDCARD[family]];
    return announced.every((host) => isLoopbackHost(host) || own.has(host)) ? announced : [WILDCARD[family]];
  });
}

/**
 * Where HTTP and trunks listen. A node whose first address is a loopback address has URLs that work on this machine only, so it listens there only, though
 * its media may be reached at further addresses. Any other listens on all addresses.
 */
export function serviceHost(hosts: readonly string[], families: readonly IpFamily[]): string {
  const [first = ''] = hosts;
  if (ipFamilyOf(first) !== undefined && isLoopbackHost(first)) return first;
  return families.includes(6) ? WILDCARD[6] : WILDCARD[4];
}

/** The addresses at which trunks are reached, by where they listen. */
export function trunkHosts(hosts: readonly string[], listening: string): { host: string; otherHosts?: string[] } {
  const [host = '', ...others] = isLoopbackHost(listening) ? [listening] : hosts;
  return { host, ...(others.length > 0 ? { otherHosts: others } : {}) };
}
