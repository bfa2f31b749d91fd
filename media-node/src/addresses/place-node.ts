import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { ipFamilyOf } from '@millrace/api';
import type { Clock, Logger } from '@millrace/service';
import { AnnouncedAddresses } from './announced-addresses.ts';
import { planBinds, serviceHost } from './binds.ts';
import { availableFamilies } from './families.ts';

export interface NodePlace {
  /** What clients and other nodes are told. */
  addresses: AnnouncedAddresses;
  /** Where media listens. */
  binds: string[];
  /** Where HTTP and trunks listen. */
  listen: string;
}

/**
 * Finds out where the node is reached and where it listens for that.
 * @throws Error when the machine has none of the address families that are announced
 */
export async function placeNode(announced: readonly string[], clock: Clock, logger: Logger): Promise<NodePlace> {
  const families = await availableFamilies();
  if (!families.includes(6)) logger.warn('this machine has no IPv6: listening on IPv4 only');
  const isUsable = (host: string): boolean => families.includes(ipFamilyOf(host) ?? families[0]!);
  const hosts = announced.filter(isUsable);
  if (hosts.length === 0)
    throw new Error(`the node announces ${announced.join(', ')} only, and this machine has no such addresses; announce others`);
  const machine = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const addresses = new AnnouncedAddresses({
    hosts,
    lookup: async (name) => (await lookup(name, { all: true })).map(({ address }) => address).filter(isUsable),
    clock,
    logger,
  });
  await addresses.start();
  return { addresses, binds: planBinds({ hosts, machine, families }), listen: serviceHost(hosts, families) };
}
