// The reference for a relay: a process that only forwards each datagram that it receives.
// Run by figures/relay.ts; argv: the port to send to.
import { createSocket } from 'node:dgram';

const target = Number(process.argv[2]);
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
socket.on('message', (packet) => socket.send(packet, target, '127.0.0.1'));
socket.bind(0, '127.0.0.1', () => process.send!(socket.address().port));
// The parent process has ended.
process.on('disconnect', () => process.exit(0));
