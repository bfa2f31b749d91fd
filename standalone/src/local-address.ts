import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { canonicalHost } from '@millrace/api';

/** The source address that the kernel's routes select for packets to `to`. */
export async function localAddressTo(to: string): Promise<string> {
  const socket = createSocket(isIPv6(to) ? 'udp6' : 'udp4');
  try {
    socket.connect(9, to);
    await once(socket, 'connect');
    return canonicalHost(socket.address().address);
  } finally {
    socket.close();
  }
}
