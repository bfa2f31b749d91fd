import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { isSameAddress, Problem } from '@millrace/service';

type Range = readonly [address: string, bits: number];

/** Unspecified, multicast, reserved and broadcast addresses (RFC 6890). They belong to no single host, and a packet may reach many. */
const nobodys = ranges([
  ['0.0.0.0', 8],
  ['224.0.0.0', 3],
  ['::', 128],
  ['ff00::', 8],
]);
/** Loopback and link-local addresses: services there trust their neighbours. */
const local = ranges([
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['::1', 128],
  ['fe80::', 10],
]);

function ranges(list: readonly Range[]): (address: string) => boolean {
  const blocked = new BlockList();
  for (const [address, bits] of list) blocked.addSubnet(address, bits, isIPv4(address) ? 'ipv4' : 'ipv6');
  // BlockList also matches IPv4-mapped IPv6 addresses (RFC 4291 section 2.5.5.2).
  return (address) => (isIPv4(address) || isIPv6(address)) && blocked.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/**
 * Plain RTP goes to the address that the client names, without a handshake in which the receiver agrees. To prevent attacks on others, the address must be the
 * client's own or the one that the app put into the token.
 * @param caller address of the client's own connection
 * @param granted the token's `rtpTo`
 * @throws Problem 400 for an address that can be no client's, 403 for one that is not this client's
 */
export function requireRtpTarget(address: { ip: string } | undefined, caller = '', granted = ''): void {
  if (!address) return;
  const refused = (why: string): Problem =>
    new Problem(400, 'Invalid request body', { detail: `address.ip: ${address.ip} ${why}` });
  if (nobodys(address.ip))
    throw refused('is no address of a single host; name the one from which you send and on which you receive');
  if (local(address.ip) && !local(caller))
    throw refused('is an address within the node; name the one at which the node reaches you');
  if (isSameAddress(address.ip, caller) || isSameAddress(address.ip, granted)) return;
  throw new Problem(403, 'Not your address', {
    detail: `address.ip: ${address.ip} is not where this request comes from (${caller}); name that, or let your app ask control for a token with "rtpTo": "${address.ip}"`,
  });
}
