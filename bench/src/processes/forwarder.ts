// The measure to compare a relay with: a process that sends on each datagram that it receives, and does nothing else.
// Run by figures/relay.ts; argv: the port to send to.
import { createSocket } from 'node:dgram';

const target = Number(process.argv[2]);
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
socket.on('message', (packet) => socket.send(packet, target, '127.0.0.1'));
socket.bind(0, '127.0.0.1', () => process.send!(socket.address().port));
// The one who started this is gone.
process.on('disconnect', () => process.exit(0));
