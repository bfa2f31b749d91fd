import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { AGENT_SUBPROTOCOL } from '@millrace/api';
import type { SigningKeys } from '@millrace/control/tokens';
import type { Verdict } from '@millrace/api/operations';
import { RtpHeader, RtpPacket } from 'werift';
import { WebSocket } from 'ws';
import { DgramIo, TrunkEndpoint } from '@millrace/media-node/trunk';
import { vp8Frame } from '@millrace/testkit/webrtc';

/** Dials the agent channel and says hello as `identity`. */
export async function dialAgent(url: string, bearer: string | undefined, identity: object): Promise<Verdict> {
  const headers: Record<string, string> = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const socket = new WebSocket(url, AGENT_SUBPROTOCOL, { headers });
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    socket.once('unexpected-response', (_request, response) => {
      socket.terminate();
      resolve(response.statusCode ?? 0);
    });
    socket.once('open', () =>
      socket.send(
        JSON.stringify({
          type: 'hello',
          protocol: 1,
          bootId: 'b',
          bootedAt: 0,
          publications: [],
          subscriptions: [],
          ...identity,
        }),
      ),
    );
    socket.once('message', () => {
      socket.terminate();
      resolve('yes');
    });
    socket.once('close', (code) => resolve(code));
  });
}

/**
 * Tries to bring a trunk up with a mesh key. Secrets that are not trunk keys are converted to one.
 * @param attempt.certifiedBy who certifies the dialler's own key; default: nobody
 */
export async function dialTrunk(
  peer: { node: string; host: string; port: number },
  { secret, certifiedBy, patienceMs }: { secret: string; certifiedBy?: SigningKeys; patienceMs: number },
): Promise<Verdict> {
  const io = await DgramIo.open({ host: '127.0.0.1', port: 0 });
  const key = Buffer.from(secret, 'base64').length === 32 ? secret : createHash('sha256').update(secret).digest('base64');
  const id = createHash('sha256').update(`millrace trunk key id\0${key}`).digest('hex').slice(0, 8);
  const self = { node: `cell-${randomBytes(4).toString('hex')}` };
  const endpoint = new TrunkEndpoint({ io, self, keys: [{ id, secret: key }] });
  const certificate = certifiedBy?.certificateOf(self.node, endpoint.identity.publicKey.toString('base64'));
  endpoint.configure({
    certification: { certificate: certificate ? Buffer.from(certificate, 'base64') : undefined, authorities: undefined },
  });
  let answers = 0;
  const receive = io.onBatch;
  io.onBatch = (batch) => {
    answers += batch.length;
    receive(batch);
  };
  const trunk = endpoint.dial(peer);
  const up = await Promise.race([once(trunk, 'up').then(() => true), delay(patienceMs, false)]);
  await endpoint.close();
  if (up) return 'yes';
  return answers === 0 ? 'silence' : 0;
}

/** Sends a STUN binding request (RFC 8489) as ICE does; returns 'yes' when there is any answer. */
export async function askStun(
  port: number,
  { usernameFragment, password }: { usernameFragment: string; password: string },
  patienceMs: number,
): Promise<Verdict> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const attributes = Buffer.concat([
    stunAttribute(0x0006, Buffer.from(`${usernameFragment}:peer`)),
    stunAttribute(0x0024, Buffer.from([0x6e, 0x7f, 0x00, 0xff])), // PRIORITY
    stunAttribute(0x802a, randomBytes(8)), // ICE-CONTROLLING
  ]);
  const header = Buffer.alloc(20);
  header.writeUInt16BE(0x0001, 0);
  header.writeUInt32BE(0x2112a442, 4);
  randomBytes(12).copy(header, 8);
  header.writeUInt16BE(attributes.length + 24, 2);
  const integrity = createHmac('sha1', password).update(header).update(attributes).digest();
  const signed = Buffer.concat([attributes, stunAttribute(0x0008, integrity)]);
  header.writeUInt16BE(signed.length + 8, 2);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE((crc32(Buffer.concat([header, signed])) ^ 0x5354554e) >>> 0);
  socket.send(Buffer.concat([header, signed, stunAttribute(0x8028, crc)]), port, '127.0.0.1');
  const answer = await Promise.race([
    once(socket, 'message').then(([data]) => (data as Buffer).readUInt16BE(0)),
    delay(patienceMs),
  ]);
  socket.close();
  if (answer === undefined) return 'silence';
  return answer === 0x0101 ? 'yes' : 0;
}

function stunAttribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

function crc32(data: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Sends ten frames, the first a keyframe. */
export function sendFrames(from: Socket, to: { ip: string; port: number }, ssrc: number, firstSequence: number): void {
  for (let frame = 0; frame < 10; frame++) {
    const sequenceNumber = (firstSequence + frame) & 0xffff;
    const header = new RtpHeader({ payloadType: 96, sequenceNumber, timestamp: sequenceNumber * 3000, ssrc, marker: true });
    from.send(new RtpPacket(header, vp8Frame(frame === 0)).serialize(), to.port, to.ip);
  }
}
