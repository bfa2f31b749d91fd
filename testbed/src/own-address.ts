import { networkInterfaces } from 'node:os';

/** A non-loopback IPv4 address of this machine, if there is one: Firefox's ICE pairs only with such an address. */
export function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((own) => own ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
