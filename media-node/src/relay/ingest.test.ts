import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  FRAME_END,
  FRAME_KIND_SENDER_REPORT,
  FRAME_START,
  KEYFRAME,
  MEDIA_HEADER_BYTES,
  mediaFrameFault,
  readMediaHeader,
  type TrackDescription,
} from '@millrace/api/trunk';
import { h264Payload, idr, PPS, rtpPacket, slice, SPROP, SPS } from '@millrace/testkit/rtp';
import { writeSenderReport } from '../rtp/index.ts';
import { CarriedStream } from './carried-stream/index.ts';
import { Ingest } from './ingest.ts';
import { AUDIO_TRACK, VIDEO_TRACK } from '@millrace/testkit/rtp';

function ingest(tracks: TrackDescription[], parameterSets: Record<number, string> = {}, maxKbps?: number) {
  const stream = new CarriedStream('live/demo');
  const frames: Buffer[] = [];
  const reports: Buffer[] = [];
  const requests: string[] = [];
  let nowMs = 0;
  stream.addSink({ onFrame: (frame) => frames.push(frame), onSenderReport: (frame) => reports.push(frame), onEpoch: () => {} });
  const taking = new Ingest({
    stream,
    epoch: 9,
    tracks,
    parameterSets,
    ...(maxKbps === undefined ? {} : { maxKbps }),
    rttMs: 10,
    now: () => nowMs,
    wakeBy: () => {},
    onKeyframeRequest: (track, layer) => requests.push(`${track}/${layer}`),
  });
  const tick = (ms: number) => taking.tick((nowMs = ms));
  return { taking, frames, reports, requests, tick };
}

const video = (seq: number, kind: 'keyframe' | 'delta', fields: { timestamp?: number; marker?: boolean; ssrc?: number } = {}) =>
  rtpPacket({ payloadType: 102, ssrc: 1000, seq, payload: h264Payload(kind), ...fields });

describe('a publisher at the relay', () => {
  test('gets its packets framed, marked and numbered; the rest of the packet stays as it was', () => {
    const { taking, frames } = ingest([VIDEO_TRACK]);
    taking.onPacket(video(65_535, 'keyframe', { timestamp: 5 }));
    taking.onPacket(video(0, 'delta', { timestamp: 5, marker: true }));
    taking.onPacket(video(1, 'delta', { timestamp: 6, marker: true }));
    for (const frame of frames) assert.equal(mediaFrameFault(frame), undefined);
    const marks = frames.map((frame) => readMediaHeader(frame).marks & (FRAME_START | FRAME_END | KEYFRAME));
    assert.deepEqual(marks, [FRAME_START | KEYFRAME, FRAME_END, FRAME_START | FRAME_END]);
    assert.deepEqual(
      frames.map((frame) => readMediaHeader(frame).seq),
      [65_535, 65_536, 65_537],
    );
    assert.deepEqual(frames[2]!.subarray(MEDIA_HEADER_BYTES), video(1, 'delta', { timestamp: 6, marker: true }));
  });

  test('is numbered without a hole where the gate dropped something, also in the RTP header', () => {
    const { taking, frames } = ingest([VIDEO_TRACK]);
    for (const [seq, kind] of [
      [10, 'keyframe'],
      [12, 'delta'],
      [14, 'keyframe'],
    ] as const)
      taking.onPacket(video(seq, kind));
    assert.deepEqual(
      frames.map((frame) => [readMediaHeader(frame).seq, frame.readUInt16BE(MEDIA_HEADER_BYTES + 2)]),
      [
        [10, 10],
        [11, 11],
      ],
    );
    assert.equal(taking.counters.dropped['before-keyframe'], 1);
  });

  test('above its bit rate is cut by whole frames and starts again at a keyframe with its parameter sets', () => {
    const { taking, frames, tick } = ingest([{ ...VIDEO_TRACK, layers: [{ layer: 0, ssrc: 1000 }] }], { 0: SPROP }, 100);
    let seq = 0;
    for (let frame = 0; frame < 1500; frame++) {
      tick(frame * 40);
      for (let packet = 0; packet < 3; packet++) {
        const payload = frame % 50 === 0 && packet === 0 ? idr() : slice();
        const padded = Buffer.concat([payload, Buffer.alloc(700)]);
        const fields = { payloadType: 102, ssrc: 1000, seq: seq++ & 0xffff, timestamp: frame * 3600, marker: packet === 2 };
        taking.onPacket(rtpPacket({ ...fields, payload: padded }));
      }
    }
    const headers = frames.map((frame) => readMediaHeader(frame));
    assert.ok(
      headers.every(({ seq: at }, index) => at === headers[0]!.seq + index),
      'numbered without a hole',
    );
    assert.ok(taking.counters.aboveLimit > 1500);
    const pictures = Map.groupBy(frames, (frame) => frame.readUInt32BE(MEDIA_HEADER_BYTES + 4));
    let beforeAt: number | undefined;
    let resumed = 0;
    for (const [timestamp, packets] of pictures) {
      const isNext = beforeAt !== undefined && timestamp === beforeAt + 3600;
      const startsAnew = (readMediaHeader(packets[0]!).marks & KEYFRAME) !== 0;
      if (!isNext) resumed += 1;
      if (!isNext) assert.ok(startsAnew, `the picture at ${timestamp} comes after withheld ones`);
      assert.equal(packets.filter((packet) => packet.length > 700).length, 3, 'pictures are whole');
      beforeAt = timestamp;
    }
    assert.ok(resumed > 3, `${resumed} times`);
    const kbps = (frames.reduce((sum, frame) => sum + frame.length - MEDIA_HEADER_BYTES, 0) * 8) / 60_000;
    assert.ok(kbps > 50 && kbps < 120, `${kbps} kbit/s of a limit of 100`);
  });

  test('above its bit rate loses its highest simulcast layer, and gets it back when the limit goes', () => {
    const layers = [0, 1].map((layer) => ({ layer, ssrc: 1000 + layer }));
    const { taking, frames, tick } = ingest([{ ...VIDEO_TRACK, layers }], {}, 300);
    const send = (from: number, to: number): void => {
      for (let frame = from; frame < to; frame++) {
        tick(frame * 40);
        for (const { layer, ssrc } of layers) {
          const payload = Buffer.concat([
            h264Payload(frame % 50 === 0 ? 'keyframe' : 'delta'),
            Buffer.alloc(layer === 0 ? 500 : 1200),
          ]);
          for (let packet = 0; packet < 1 + layer * 3; packet++)
            taking.onPacket(
              rtpPacket({
                payloadType: 102,
                ssrc,
                seq: (layer === 0 ? frame : frame * 4 + packet) & 0xffff,
                timestamp: frame * 3600,
                marker: packet === layer * 3,
                payload: packet === 0 ? payload : Buffer.concat([slice(), Buffer.alloc(1200)]),
              }),
            );
        }
      }
    };
    const countOf = (layer: number): number => frames.filter((frame) => readMediaHeader(frame).layer === layer).length;
    send(0, 250);
    const [low, high] = [countOf(0), countOf(1)];
    assert.equal(low, 250);
    assert.ok(high > 0 && high < 250 * 4 * 0.5, String(high));
    send(250, 500);
    assert.deepEqual([countOf(0), countOf(1)], [500, high], 'the higher one stays away');
    taking.setLimit(undefined);
    send(500, 600);
    assert.deepEqual([countOf(0), countOf(1)], [600, high + 400]);
  });

  test('above its bit rate loses the upper spatial layer of its only SSRC, and every picture still ends with a marker', () => {
    const codec = { ...VIDEO_TRACK.codec, mimeType: 'video/VP9', parameters: {} };
    const { taking, frames, tick } = ingest([{ ...VIDEO_TRACK, codec, layers: [{ layer: 0, ssrc: 1000 }] }], {}, 150);
    let seq = 0;
    for (let picture = 0; picture < 500; picture++) {
      tick(picture * 40);
      for (const spatial of [0, 1]) {
        // RFC 9628 section 4.2: P but in keyframes, L, B, E; layer ids with D above the base; TL0PICIDX.
        const flags = (picture % 100 === 0 ? 0 : 0x40) | 0x20 | 0x08 | 0x04;
        const descriptor = Buffer.from([flags, (spatial << 1) | spatial, picture & 0xff]);
        const payload = Buffer.concat([descriptor, Buffer.alloc(spatial === 0 ? 500 : 1200)]);
        const fields = { payloadType: 102, ssrc: 1000, seq: seq++ & 0xffff, timestamp: picture * 3600, marker: spatial === 1 };
        taking.onPacket(rtpPacket({ ...fields, payload }));
      }
    }
    const headers = frames.map((frame) => readMediaHeader(frame));
    assert.ok(headers.every(({ seq: at }, index) => at === headers[0]!.seq + index));
    const pictures = [...Map.groupBy(frames, (frame) => frame.readUInt32BE(MEDIA_HEADER_BYTES + 4)).values()];
    assert.equal(pictures.length, 500, 'no picture is missing');
    const markers = pictures.map((packets) => packets.map((packet) => packet[MEDIA_HEADER_BYTES + 1]! >> 7).join(''));
    assert.deepEqual([...new Set(markers)].sort(), ['01', '1']);
    assert.ok(markers.filter((one) => one === '01').length < 200);
  });

  test('is asked for a keyframe when its video stays out of order', () => {
    const { taking, requests, tick } = ingest([VIDEO_TRACK]);
    taking.onPacket(video(1, 'keyframe'));
    taking.onPacket(video(3, 'delta'));
    tick(99);
    assert.deepEqual(requests, []);
    tick(100);
    assert.deepEqual(requests, ['0/0']);
  });

  test('keeps simulcast layers apart and counts what no track names', () => {
    const layers = [
      { layer: 0, ssrc: 1000 },
      { layer: 1, ssrc: 1001 },
    ];
    const { taking, frames } = ingest([{ ...VIDEO_TRACK, layers }]);
    taking.onPacket(video(5, 'keyframe'));
    taking.onPacket(video(900, 'keyframe', { ssrc: 1001 }));
    taking.onPacket(video(7, 'keyframe', { ssrc: 4 }));
    assert.deepEqual(
      frames.map((frame) => [readMediaHeader(frame).layer, readMediaHeader(frame).seq]),
      [
        [0, 5],
        [1, 900],
      ],
    );
    assert.equal(taking.counters.unknownSsrc, 1);
  });

  test('goes on in the same numbering when its packets come under another SSRC', () => {
    const { taking, frames } = ingest([VIDEO_TRACK, AUDIO_TRACK]);
    taking.onPacket(video(10, 'keyframe'));
    taking.setSources([{ track: 0, layer: 0, ssrc: 77 }]);
    taking.onPacket(video(11, 'delta', { ssrc: 77 }));
    taking.onPacket(video(12, 'delta'));
    taking.onPacket(rtpPacket({ payloadType: 111, ssrc: 2000, seq: 3, payload: [1] }));
    assert.deepEqual(
      frames.map((frame) => [readMediaHeader(frame).track, readMediaHeader(frame).seq]),
      [
        [0, 10],
        [0, 11],
        [1, 3],
      ],
    );
    assert.equal(taking.counters.unknownSsrc, 1);
    assert.deepEqual(taking.tracks, [
      { track: 0, packets: 2, passed: 2 },
      { track: 1, packets: 1, passed: 1 },
    ]);
  });

  test('is asked for a keyframe by viewers and by its gate as one', () => {
    const { taking, requests, tick } = ingest([VIDEO_TRACK]);
    taking.onPacket(video(1, 'delta'));
    tick(100);
    taking.requestKeyframe(0, 0);
    taking.requestKeyframe(0, 0);
    taking.requestKeyframe(0, 1);
    assert.deepEqual(requests, ['0/0']);
    assert.deepEqual(taking.counters.keyframeRequests, { sent: 1, held: 2 });
    tick(1100);
    assert.deepEqual(requests, ['0/0', '0/0']);
  });

  test('has its clock passed on for each layer', () => {
    const { taking, reports } = ingest([VIDEO_TRACK]);
    taking.onPacket(video(1, 'keyframe', { timestamp: 3 }));
    taking.onPacket(writeSenderReport({ ssrc: 1000, ntpSeconds: 1, ntpFraction: 2, rtpTimestamp: 3, packets: 0, octets: 0 }));
    assert.equal(reports.length, 1);
    assert.equal(readMediaHeader(reports[0]!).kind, FRAME_KIND_SENDER_REPORT);
    assert.equal(mediaFrameFault(reports[0]!), undefined);
    assert.deepEqual(
      [0, 4, 8].map((at) => reports[0]!.readUInt32BE(MEDIA_HEADER_BYTES + at)),
      [1, 2, 3],
    );
  });

  test('has the parameter sets of its SDP put before each keyframe that lacks them, under numbers of their own', () => {
    const { taking, frames } = ingest([VIDEO_TRACK], { 0: SPROP });
    const times = [100, 200, 200, 300];
    [idr(), slice(), slice(), idr()].forEach((payload, i) => {
      taking.onPacket(rtpPacket({ payloadType: 102, ssrc: 1000, seq: 7 + i, timestamp: times[i], marker: true, payload }));
    });
    assert.deepEqual(
      frames.map((frame) => {
        const { seq, marks } = readMediaHeader(frame);
        const [timestamp, marked] = [frame.readUInt32BE(MEDIA_HEADER_BYTES + 4), (frame[MEDIA_HEADER_BYTES + 1]! & 0x80) !== 0];
        return [seq, frame.readUInt16BE(MEDIA_HEADER_BYTES + 2), timestamp, marked, (marks & KEYFRAME) !== 0];
      }),
      [
        [7, 7, 100, false, true],
        [8, 8, 100, false, false],
        [9, 9, 100, true, false],
        [10, 10, 200, true, false],
        [11, 11, 200, true, false],
        [12, 12, 300, false, true],
        [13, 13, 300, false, false],
        [14, 14, 300, true, false],
      ],
    );
    for (const frame of frames) assert.equal(mediaFrameFault(frame), undefined);
    assert.equal(taking.counters.insertedSets, 4);
  });

  test('opens again after a loss at a keyframe whose sets came once, at the start', () => {
    const { taking, frames } = ingest([VIDEO_TRACK]);
    const send = (seq: number, payload: Buffer) =>
      taking.onPacket(rtpPacket({ payloadType: 102, ssrc: 1000, seq, timestamp: seq * 3000, payload }));
    send(1, SPS);
    send(2, PPS);
    send(3, idr());
    send(5, slice());
    send(6, idr());
    send(7, slice());
    assert.equal(taking.tracks[0]!.passed, 5);
    assert.equal(frames.length, 7);
  });

  test('cannot harm it with bytes that are no RTP', () => {
    const { taking, frames } = ingest([VIDEO_TRACK]);
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(11), Buffer.from('00'.repeat(40), 'hex'), Buffer.alloc(5000, 0x80)])
      taking.onPacket(bytes);
    const { malformed, tooLarge } = taking.counters;
    assert.deepEqual([frames.length, malformed, tooLarge], [0, 3, 1]);
  });
});
