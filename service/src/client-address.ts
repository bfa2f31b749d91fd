import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';
import { z } from 'zod';

/** An address, or a CIDR. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  if (rest.length > 0 || isIP(address) === 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (isIPv4(address) ? 32 : 128));
}

/** Setting: proxies whose X-Forwarded-For or Forwarded (RFC 7239) is believed. Empty: none, and the client is the peer of the connection. */
export const TrustedProxies = z
  .array(z.string().refine(isNetwork, 'must be an address or CIDR, e.g. 10.0.0.0/8'))
  .max(64)
  .default([])
  .describe('addresses or CIDRs of proxies whose X-Forwarded-For or Forwarded header is believed; none are by default');

/** Whether an address is one of these proxies. */
export function trusts(proxies: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (text) => {
    const address = canonicalAddress(text);
    return address !== undefined && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  };
}

/** The key by which per-client limits count: an IPv4 address, or the /64 of an IPv6 one, since a host has a whole /64. */
export function clientGroup(text: string | undefined): string {
  const address = canonicalAddress(text ?? '');
  if (address === undefined) return 'unknown';
  if (isIPv4(address)) return address;
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0');
  const groups = [...before, ...zeros, ...after].slice(0, 4);
  return `${groups.join(':')}::/64`;
}

/** Whether two texts denote the same address. */
export function isSameAddress(a: string, b: string): boolean {
  const one = canonicalAddress(a);
  return one !== undefined && one === canonicalAddress(b);
}

/**
 * The canonical form of an address: IPv4 with dots, also when it is mapped into IPv6 (::ffff:192.0.2.1, as a socket for both
 * families shows it), IPv6 as in RFC 5952 without a zone. undefined: the text is no address.
 */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const [address = ''] = text.split('%', 1);
  if (!isIPv6(address)) return undefined;
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address;
  const mapped = /^::ffff:([\d.]+)$/.exec(canonical)?.[1];
  return mapped !== undefined && isIPv4(mapped) ? mapped : canonical;
}
