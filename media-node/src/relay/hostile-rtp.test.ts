import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { mediaFrameFault, type TrackDescription } from '@millrace/api/trunk';
import { seededRandom } from '@millrace/service';
import { h264Payload, rtpPacket } from '@millrace/testkit/rtp';
import { DEPENDENCY_DESCRIPTOR_URI } from '../rtp/av1.ts';
import { CarriedStream } from './carried-stream/index.ts';
import { Ingest } from './ingest.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function heapMiB(): Promise<number> {
  collect();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

const CODECS = ['video/H264', 'video/VP8', 'video/VP9', 'video/AV1', 'audio/opus', 'video/unheard-of'];
const COUNT = 40_000;

describe('a publisher whose packets are anything', () => {
  for (const mimeType of CODECS) {
    test(`${mimeType}: what is forwarded is sound, the rest is counted; time and memory stay bounded`, async () => {
      const track: TrackDescription = {
        track: 0,
        kind: mimeType.startsWith('audio') ? 'audio' : 'video',
        codec: { mimeType, payloadType: 102, clockRate: 90_000 },
        headerExtensions: [{ uri: DEPENDENCY_DESCRIPTOR_URI, id: 7 }],
        layers: [
          { layer: 0, ssrc: 1000 },
          { layer: 1, ssrc: 1001 },
        ],
      };
      const stream = new CarriedStream('live/demo');
      let forwarded = 0;
      stream.addSink({
        onFrame: (frame) => {
          assert.equal(mediaFrameFault(frame), undefined);
          forwarded += 1;
        },
        onSenderReport: (frame) => assert.equal(mediaFrameFault(frame), undefined),
        onEpoch: () => {},
      });
      let nowMs = 0;
      let keyframesAsked = 0;
      const ingest = new Ingest({
        stream,
        epoch: 9,
        tracks: [track],
        rttMs: 10,
        now: () => nowMs,
        wakeBy: () => {},
        onKeyframeRequest: () => (keyframesAsked += 1),
      });
      const source = seededRandom(mimeType.length);
      const random = (below: number): number => Math.floor(source() * below);
      const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random(256)));
      let seq = 0;
      const one = (): Buffer => {
        const payload = random(3) === 0 ? h264Payload(random(2) === 0 ? 'keyframe' : 'delta', random(40)) : bytes(random(60));
        const whole = rtpPacket({
          payloadType: random(4) === 0 ? random(128) : 102,
          ssrc: random(5) === 0 ? random(2 ** 32) : 1000 + random(2),
          seq: random(10) === 0 ? random(65_536) : (seq = (seq + 1) & 0xffff),
          timestamp: random(2 ** 32),
          marker: random(2) === 0,
          ...(random(2) === 0 ? { extensions: { 7: bytes(1 + random(15)) } } : {}),
          payload,
        });
        switch (random(8)) {
          case 0:
            return bytes(random(80));
          case 1:
            return whole.subarray(0, random(whole.length));
          case 2: {
            // An extension block, contributing sources or padding longer than the packet.
            whole[0] = 0x80 | random(64);
            return whole;
          }
          case 3:
            return Buffer.concat([whole, Buffer.alloc(random(4000))]);
          case 4: {
            // RTCP, of any kind and count.
            const rtcp = bytes(8 + random(60));
            rtcp.set([0x80 | random(32), 192 + random(32), 0, random(16)]);
            return rtcp;
          }
          default:
            return whole;
        }
      };
      const before = await heapMiB();
      let cpu = 0;
      for (let i = 0; i < COUNT; i++) {
        const packet = one();
        const start = process.cpuUsage();
        ingest.onPacket(packet);
        if (i % 10 === 0) ingest.tick((nowMs += 5));
        const { user, system } = process.cpuUsage(start);
        cpu += user + system;
      }
      const grown = (await heapMiB()) - before;
      ingest.tick((nowMs += 10_000));
      const { packets, malformed, tooLarge, unknownSsrc, dropped } = ingest.counters;
      const refused = malformed + tooLarge + unknownSsrc + Object.values(dropped).reduce((sum, count) => sum + count, 0);
      // A gate may still hold what follows a jump, one packet a layer, until a second one confirms it.
      const held = packets - (forwarded - ingest.counters.insertedSets) - refused;
      assert.ok(held >= 0 && held <= 2, JSON.stringify(ingest.counters));
      assert.ok(malformed > COUNT / 20 && unknownSsrc > COUNT / 50, JSON.stringify(ingest.counters));
      assert.ok(forwarded > 0);
      assert.ok(keyframesAsked < COUNT / 10);
      assert.ok(grown < 32, `memory grew by ${grown.toFixed(1)} MiB`);
      assert.ok(cpu / COUNT < 100, `${(cpu / COUNT).toFixed(1)} µs a packet`);
    });
  }
});
