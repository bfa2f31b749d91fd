import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { sendReports } from '@millrace/testkit/media';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '@millrace/service';
import { packetize } from '@millrace/testkit/media';
import { idr, PPS, rtpPacket, slice, SPS } from '@millrace/testkit/rtp';
import { isRtcp, RtpView } from '../rtp/index.ts';
import { eventually, startTestNode, type TestNode } from '../signaling/node.fixture.ts';

const SSRC = 77;
const PAYLOAD_TYPE = 96;
/** RFC 6184 section 5.7.1. */
const STAP_A = 24;
const FRAMES_PER_RUN = 8;
const FRAME_MS = 33;

/** From the last number of one run to the first of the next. */
const JUMPS = [3000, 20_000, -1600, -40_000, 32_768, 3001, -2001, 60_000, 1];

describe('a plain RTP publisher that restarts its sequence numbers and timestamps', { timeout: 60_000 }, () => {
  test('loses no packet, and its viewers see one numbering and one clock', async (t) => {
    const node = await startTestNode();
    t.after(() => node.close());
    const [publisher, viewer] = [await open(t), await open(t)];
    const tracks = [{ kind: 'video', mimeType: 'video/H264', payloadType: PAYLOAD_TYPE, clockRate: 90_000, ssrc: SSRC }];
    const { port } = await post(node, 'push', publisher, { tracks: tracks.map((track) => ({ ...track, parameters: {} })) });
    const arrived: { label: number; nalType: number; seq: number; timestamp: number }[] = [];
    const view = new RtpView();
    viewer.on('message', (packet) => {
      if (isRtcp(packet) || !view.parse(packet)) return;
      const { seq, timestamp, payloadStart, payloadEnd } = view;
      arrived.push({ label: packet.readUInt32BE(payloadEnd - 4), nalType: packet[payloadStart]! & 31, seq, timestamp });
    });

    const random = seededRandom(4);
    let seq = 65_000;
    let label = 0;
    const sent: number[] = [];
    const run = async (): Promise<void> => {
      const timestamp = Math.floor(random() * 2 ** 32);
      for (let frame = 0; frame < FRAMES_PER_RUN; frame++) {
        const payloads = packetize(frame === 0 ? [SPS, PPS, idr(3000)] : [slice(900)], 1100);
        for (const [i, payload] of payloads.entries()) {
          label += 1;
          if ((payload[0]! & 31) !== STAP_A) sent.push(label);
          const marker = i === payloads.length - 1;
          const fields = {
            payloadType: PAYLOAD_TYPE,
            ssrc: SSRC,
            seq: seq++ & 0xffff,
            timestamp: (timestamp + frame * 3000) >>> 0,
          };
          publisher.send(rtpPacket({ ...fields, marker, payload: labelled(payload, label) }), port, '127.0.0.1');
        }
        await delay(FRAME_MS);
      }
    };

    await run();
    sendReports(viewer, { ip: '127.0.0.1', ...(await post(node, 'pull', viewer, {})) });
    await run();
    await eventually('the viewer has media', () => arrived.some((one) => one.label === label));
    const from = label;
    for (const jump of JUMPS) {
      seq += jump - 1;
      await run();
    }
    await eventually('the last packet', () => arrived.some((one) => one.label === label)).catch(() => undefined);
    const since = arrived.slice(arrived.findIndex((one) => one.label > from));
    const slices = since.filter(({ nalType }) => nalType !== STAP_A);
    assert.deepEqual(
      slices.map((one) => one.label),
      sent.filter((one) => one > from),
    );
    // The gate may put its own copy of the parameter sets in the place of the publisher's.
    assert.equal(since.length - slices.length, JUMPS.length, 'each keyframe has its parameter sets');
    for (const [i, one] of since.entries()) {
      const before = since[i - 1];
      if (!before) continue;
      assert.equal((one.seq - before.seq) & 0xffff, 1, 'sequence numbers go on');
      const stepMs = ((one.timestamp - before.timestamp) | 0) / 90;
      assert.ok(stepMs >= 0 && stepMs < 2000, `timestamps go on: ${stepMs} ms`);
    }
  });
});

/** With four more bytes: at the end of a slice, or as an SEI message of a STAP-A. */
function labelled(payload: Buffer, label: number): Buffer {
  const isAggregate = (payload[0]! & 31) === STAP_A;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(label);
  return Buffer.concat([payload, ...(isAggregate ? [Buffer.from([0, 5, 6])] : []), bytes]);
}

async function open(t: { after(close: () => void): void }): Promise<Socket> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

async function post(node: TestNode, act: 'push' | 'pull', socket: Socket, body: object): Promise<{ port: number }> {
  const address = { ip: '127.0.0.1', port: socket.address().port };
  const response = await fetch(`${node.url}/rtp/${act}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await node.token(act, 'live/*')}` },
    body: JSON.stringify({ stream: 'live/restarts', address, ...body }),
  });
  assert.equal(response.status, 201);
  return (await response.json()) as { port: number };
}
