import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';
import { z } from 'zod';

export type IpFamily = 4 | 6;

/** Addresses of one node. */
export const MAX_HOSTS = 8;

const DNS_NAME = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;

/** Unspecified, multicast, reserved and broadcast (RFC 6890): the address of no single host. */
const noSingleHost = new BlockList();
noSingleHost.addSubnet('0.0.0.0', 8, 'ipv4');
noSingleHost.addSubnet('224.0.0.0', 3, 'ipv4');
noSingleHost.addAddress('::', 'ipv6');
noSingleHost.addSubnet('ff00::', 8, 'ipv6');

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** What keeps `text` from being the address or the DNS name of a host, as the rest of a sentence; undefined when nothing does. */
export function hostProblem(text: string): string | undefined {
  if (text.includes('%'))
    return 'has a zone (such as %eth0), which means something on one machine only; give an address that others reach, without a zone';
  if (/[[\]]/.test(text)) return 'is in brackets, which belong into URLs; leave them out';
  if (isIP(text) === 0) {
    if (text.includes(':')) return 'is not an IPv6 address; give one such as 2001:db8::1, without a port';
    if (/^[\d.]+$/.test(text)) return 'is not an IPv4 address; give one such as 192.0.2.1';
    if (text.length > 253 || !DNS_NAME.test(text)) return 'is neither an IP address nor a DNS name';
    return undefined;
  }
  if (isIn(noSingleHost, text)) return 'is not the address of a single host; give one at which this host is reached';
  return undefined;
}

/** Where a host is reached: an IP address (IPv6 without brackets and zone), or a DNS name. */
export const Host = z
  .string()
  .min(1)
  .max(253)
  .superRefine((text, context) => {
    const problem = hostProblem(text);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: `${text} ${problem}` });
  });

/** Further addresses of one endpoint, after its `host`, in the order of preference; absent where there is one only. */
export const OtherHosts = z
  .array(Host)
  .min(1)
  .max(MAX_HOSTS - 1);

/** The family of an IP address; undefined for a name. An IPv4 address within an IPv6 one (::ffff:192.0.2.1) is IPv4. */
export function ipFamilyOf(host: string): IpFamily | undefined {
  const family = isIP(canonicalHost(host));
  return family === 0 ? undefined : (family as IpFamily);
}

/** One text for each host: IPv6 as in RFC 5952, mapped IPv4 as IPv4 (RFC 4291 section 2.5.5.2), names in lower case. */
export function canonicalHost(host: string): string {
  if (!isIPv6(host) || host.includes('%')) return host.toLowerCase();
  const { address } = new SocketAddress({ address: host, family: 'ipv6' });
  const mapped = /^::ffff:([\d.]+)$/.exec(address)?.[1];
  return mapped !== undefined && isIPv4(mapped) ? mapped : address;
}

/** A host as it stands in a URL: IPv6 in brackets (RFC 3986 section 3.2.2). */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Whether only this machine reaches what listens there. */
export function isLoopbackHost(host: string): boolean {
  return host.toLowerCase() === 'localhost' || isIn(loopback, host);
}

function isIn(list: BlockList, host: string): boolean {
  const address = canonicalHost(host);
  return isIP(address) !== 0 && !address.includes('%') && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** Where a node's trunk endpoint listens. */
export interface TrunkAddress {
  host: string;
  /** Further addresses, in the order of preference. */
  otherHosts?: string[] | undefined;
  port: number;
}
