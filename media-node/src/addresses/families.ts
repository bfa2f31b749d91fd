import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { IpFamily } from '@millrace/api';
import { WILDCARD } from './binds.ts';

/** The families that this machine has: the kernel may be built or booted without IPv6. */
export async function availableFamilies(): Promise<IpFamily[]> {
  const tried = await Promise.all(([4, 6] as const).map(async (family) => ((await canBind(family)) ? [family] : [])));
  return tried.flat();
}

async function canBind(family: IpFamily): Promise<boolean> {
  const socket = createSocket({ type: `udp${family}`, ipv6Only: family === 6 });
  try {
    const listening = once(socket, 'listening');
    socket.bind({ address: WILDCARD[family], port: 0, exclusive: true });
    await listening;
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
