import { networkInterfaces } from 'node:os';

/** An IPv4 address of this machine that is not a loopback one, where it has any: Firefox's ICE pairs with no other. */
export function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((own) => own ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
