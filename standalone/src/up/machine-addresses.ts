import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { canonicalHost, hostProblem, isLoopbackHost } from '@millrace/api';
import { localAddressTo } from '../local-address.ts';

/** Addresses for documentation (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, and these addresses take the default route. */
const FAR_AWAY = ['198.51.100.1', '2001:db8::1'];

/** Addresses of this machine's interfaces that other machines can reach: not loopback, not link-local. */
export function machineAddresses(interfaces = networkInterfaces()): string[] {
  const all = Object.values(interfaces).flatMap((own) => own ?? []);
  return all
    .filter(({ address, internal }) => !internal && !/^(169\.254\.|fe[89ab])/i.test(address))
    .map(({ address }) => canonicalHost(address));
}

/** For each IP family, the source address for the default route, or any address of the family when there is no default route. */
export async function ownAddresses(): Promise<string[]> {
  const all = machineAddresses();
  const chosen = await Promise.all(
    FAR_AWAY.map(async (far) => {
      const ofFamily = all.filter((address) => isIP(address) === isIP(far));
      const towards = await localAddressTo(far).catch(() => undefined);
      return ofFamily.find((address) => address === towards) ?? ofFamily[0];
    }),
  );
  return chosen.filter((address) => address !== undefined);
}

/**
 * The host that `make up HOST=…` names, in its canonical form.
 * @throws Error with the reason why it cannot be used and a valid alternative
 */
export function requireOwnHost(host: string, own: readonly string[] = machineAddresses()): string {
  const remedy =
    own.length > 0
      ? `this machine has ${own.join(', ')}: make up HOST=${own[0]!}`
      : 'this machine has loopback addresses only: make up without HOST';
  if (isIP(host) === 0 && host !== 'localhost')
    throw new Error(`HOST: "${host}" ${hostProblem(host) ?? 'is a name, and candidates of media hold addresses'}; ${remedy}`);
  const problem = hostProblem(host);
  if (problem !== undefined) throw new Error(`HOST: ${host} ${problem}; ${remedy}`);
  const canonical = host === 'localhost' ? '127.0.0.1' : canonicalHost(host);
  if (!isLoopbackHost(canonical) && !own.includes(canonical))
    throw new Error(`HOST: ${host} is not an address of this machine, so nothing can listen there; ${remedy}`);
  return canonical;
}

/**
 * The addresses that media nodes announce. On loopback: that address and the machine's own, since ICE of Firefox and of libnice (GStreamer) does
 * not pair loopback addresses. With HOST: only that address, which other machines reach.
 */
export function nodeAddresses(host: string, own: readonly string[]): string[] {
  return isLoopbackHost(host) ? [...new Set([host, ...own])] : [host];
}
