import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';

/**
 * Makes an HTTPS server read its requests through the socket's stream. Left to itself, Node's HTTP parser reads from the TLS layer directly;
 * when it pauses because an answer has not left yet, records of the next request that are decrypted already reach it all the same, and it
 * resets the connection with "Parse Error: Paused" (seen with Node 24.21). A listener for `data` disables the direct path.
 */
export function readThroughStreams(server: Server): void {
  server.on('secureConnection', (socket: TLSSocket) => void socket.on('data', () => undefined));
}
