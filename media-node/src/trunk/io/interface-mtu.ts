import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Ethernet's MTU, for interfaces whose own cannot be read. */
const USUAL_MTU = 1500;
/** Any port: connecting a UDP socket sends nothing. */
const PORT = 9;

/**
 * MTU of the interface that routes packets to this address, bytes. The kernel sends larger packets in IP fragments, so that a larger probe
 * would arrive all the same; Node offers no IP_MTU_DISCOVER to forbid it (docs/decisions/0034).
 */
export async function interfaceMtu(to: string): Promise<number> {
  try {
    const local = await localAddressTo(to);
    const name = Object.entries(networkInterfaces()).find(([, addresses]) =>
      addresses?.some(({ address }) => address === local),
    )?.[0];
    const mtu = name === undefined ? NaN : Number(await readFile(`/sys/class/net/${name}/mtu`, 'utf8'));
    return mtu > 0 ? mtu : USUAL_MTU;
  } catch {
    return USUAL_MTU;
  }
}

/** The address that the kernel's routes choose for packets to `to`. */
function localAddressTo(to: string): Promise<string> {
  const socket = createSocket(isIPv6(to) ? 'udp6' : 'udp4');
  return new Promise<string>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(PORT, to, () => resolve(socket.address().address.replace(/^::ffff:/, '')));
  }).finally(() => socket.close());
}
