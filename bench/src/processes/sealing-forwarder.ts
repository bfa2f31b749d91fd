// The reference for a relay's cipher cost: a forwarder that also seals and opens each datagram, as a trunk does.
// Run by figures/relay.ts; argv: the port to send to.
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';

const CIPHER = 'aes-256-gcm';
const TAG = { authTagLength: 16 };
const HEADER_BYTES = 16;

const target = Number(process.argv[2]);
const key = createSecretKey(randomBytes(32));
const nonce = Buffer.alloc(12);
const header = Buffer.alloc(HEADER_BYTES);
let counter = 0;

/** A relay opens and then seals each datagram. Here the same datagram is sealed and then opened, at the same cost. */
function sealAndOpen(packet: Buffer): Buffer {
  counter += 1;
  nonce.writeUIntBE(counter, 6, 6);
  const cipher = createCipheriv(CIPHER, key, nonce, TAG);
  cipher.setAAD(header);
  const sealed = cipher.update(packet);
  cipher.final();
  const decipher = createDecipheriv(CIPHER, key, nonce, TAG);
  decipher.setAAD(header);
  decipher.setAuthTag(cipher.getAuthTag());
  const opened = decipher.update(sealed);
  decipher.final();
  return opened;
}

const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
socket.on('message', (packet) => socket.send(sealAndOpen(packet), target, '127.0.0.1'));
socket.bind(0, '127.0.0.1', () => process.send!(socket.address().port));
// The parent process has ended.
process.on('disconnect', () => process.exit(0));
