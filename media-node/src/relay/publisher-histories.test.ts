import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MEDIA_HEADER_BYTES, readMediaHeader } from '@millrace/api/trunk';
import { AUDIO_TRACK, idr, rtpPacket, slice, SPROP, VIDEO_TRACK } from '@millrace/testkit/rtp';
import { writeSenderReport } from '../rtp/index.ts';
import { CarriedStream } from './carried-stream/index.ts';
import { Ingest } from './ingest.ts';
import { MAX_LEAD_GAIN_MS, Timeline } from './timeline.ts';

const FRAME_MS = 40;
/** I P B B, again and again: order of decoding, by the picture's place in time. */
const WITH_B_FRAMES = [0, 3, 1, 2];

/** One event in a publisher's life, before its frame `frame`. */
interface Happening {
  frame: number;
  what: 'restart' | 'step' | 'pause' | 'loss' | 'reorder';
  seq: number;
  timestamp: number;
  ms: number;
}
interface History {
  start: { seq: number; timestamp: number };
  bFrames: boolean;
  happenings: Happening[];
}

const happening: fc.Arbitrary<Happening> = fc.record({
  frame: fc.integer({ min: 8, max: 180 }),
  what: fc.constantFrom('restart', 'step', 'pause', 'loss', 'reorder'),
  seq: fc.nat(0xffff),
  timestamp: fc.nat(0xffff_ffff),
  ms: fc.oneof(fc.integer({ min: 3000, max: 100_000 }), fc.integer({ min: -100_000, max: -3000 })),
});
const history: fc.Arbitrary<History> = fc.record({
  // Also just before both of them wrap.
  start: fc.oneof(
    fc.record({ seq: fc.nat(0xffff), timestamp: fc.nat(0xffff_ffff) }),
    fc.record({ seq: fc.constant(65_500), timestamp: fc.constant(0xffff_ffff - 90_000) }),
  ),
  bFrames: fc.boolean(),
  happenings: fc.uniqueArray(happening, { maxLength: 5, selector: ({ frame }) => Math.floor(frame / 12) }),
});

const MAX_AGREEING_ERROR_MS = 500;

interface Sent {
  packet: Buffer;
  atMs: number;
  /** The frame by order of decoding, and where its picture is in true time. */
  frame: number;
  shownMs: number;
  isKeyframe: boolean;
  /** Of which run of its clock. */
  run: number;
}

/** What arrives of a history, in order of arrival; the payload ends with the frame's number. */
function perform({ start, bFrames, happenings }: History): { sent: Sent[]; lost: Set<number> } {
  const sent: Sent[] = [];
  const lost = new Set<number>();
  let { seq, timestamp } = start;
  let [atMs, run, startFrame, startMs] = [0, 0, 0, 0];
  const last = { seq, restart: false };
  for (let frame = 0; frame < 200; frame++, atMs += FRAME_MS) {
    const event = happenings.find((candidate) => candidate.frame === frame);
    // A single packet of another sequence is no restart (RFC 3550 appendix A.1).
    if (event?.what === 'restart' && (run === 0 || frame - startFrame > 1)) {
      // Numbers so near to the last ones cannot be told from reordering, nor can older ones whose timestamps fit.
      const ahead = ((event.seq - seq + 0x8000) & 0xffff) - 0x8000;
      const place = (timestamp + (frame - startFrame) * FRAME_MS * 90) >>> 0;
      const fits = Math.abs((event.timestamp - place) | 0) <= 5000 * 90;
      const near = Math.abs(ahead) <= 96 || (ahead < 0 && ahead >= -2100 && fits);
      seq = near ? (seq + 30_000) & 0xffff : event.seq;
      timestamp = event.timestamp;
      [startFrame, startMs, run] = [frame, atMs, run + 1];
    }
    if (event?.what === 'step') {
      timestamp = (timestamp + event.ms * 90) >>> 0;
      run += 1;
    }
    if (event?.what === 'pause') {
      atMs += Math.abs(event.ms);
      timestamp = (timestamp + Math.abs(event.ms) * 90) >>> 0;
      startMs += Math.abs(event.ms);
    }
    const place = frame - startFrame;
    const isKeyframe = place % 24 === 0;
    const shown = bFrames ? place - (place % 4) + WITH_B_FRAMES[place % 4]! : place;
    const payload = isKeyframe ? idr() : slice();
    payload.writeUInt32BE(frame, payload.length - 4);
    const fields = { payloadType: 102, ssrc: 1000, marker: true, payload };
    const packet = rtpPacket({ ...fields, seq, timestamp: (timestamp + shown * FRAME_MS * 90) >>> 0 });
    last.seq = seq;
    seq = (seq + 1) & 0xffff;
    if (event?.what === 'loss') lost.add(frame);
    else sent.push({ packet, atMs, frame, shownMs: startMs + shown * FRAME_MS, isKeyframe, run });
    if (event?.what === 'reorder' && sent.length > 1) swapLast(sent);
  }
  return { sent, lost };
}

/** The last two change places on the way: both come when the second one would have. */
function swapLast(sent: Sent[]): void {
  const [a, b] = sent.splice(-2) as [Sent, Sent];
  sent.push({ ...b, atMs: b.atMs }, { ...a, atMs: b.atMs });
}

describe('a publisher whose numbers and clock do what they like', () => {
  test('is seen in decode order, without a hole, with no frame lost beyond what was, at the times at which it was sent', () => {
    fc.assert(
      fc.property(history, (played) => {
        const { sent, lost } = perform(played);
        const stream = new CarriedStream('live/demo');
        const frames: { seq: number; timestamp: number; frame: number; rtpSeq: number }[] = [];
        stream.addSink({
          onFrame: (bytes) => {
            const isSet = [0x78, 0x67, 0x68].includes(bytes[MEDIA_HEADER_BYTES + 12]!);
            frames.push({
              seq: readMediaHeader(bytes).seq,
              rtpSeq: bytes.readUInt16BE(MEDIA_HEADER_BYTES + 2),
              timestamp: bytes.readUInt32BE(MEDIA_HEADER_BYTES + 4),
              frame: isSet ? -1 : bytes.readUInt32BE(bytes.length - 4),
            });
          },
          onSenderReport: () => {},
          onEpoch: () => {},
        });
        let nowMs = 0;
        const ingest = new Ingest({
          stream,
          epoch: 1,
          tracks: [{ ...VIDEO_TRACK, codec: { ...VIDEO_TRACK.codec, parameters: { 'packetization-mode': 0 } } }],
          parameterSets: { 0: SPROP },
          rttMs: 10,
          now: () => nowMs,
          wakeBy: () => {},
          onKeyframeRequest: () => {},
        });
        for (const { packet, atMs } of sent) {
          ingest.tick((nowMs = atMs));
          ingest.onPacket(packet);
        }
        frames.forEach(({ seq, rtpSeq }, i) => {
          assert.equal(rtpSeq, seq & 0xffff);
          if (i > 0) assert.equal(seq, frames[i - 1]!.seq + 1, 'numbered without a hole');
        });
        const pictures = frames.filter(({ frame }) => frame !== -1);
        const order = pictures.map(({ frame }) => frame);
        assert.deepEqual(
          order,
          [...order].sort((a, b) => a - b),
          'in decode order, once',
        );
        assertNothingElseLost(sent, lost, new Set(order));
        assertTimes(sent, pictures);
      }),
      { numRuns: 300 },
    );
  });

  /** A decoder needs a keyframe after a frame that was lost: from there on, and before the loss, all must be there. */
  function assertNothingElseLost(sent: Sent[], lost: Set<number>, seen: Set<number>): void {
    const byFrame = [...sent].sort((a, b) => a.frame - b.frame);
    // What a gate has at the end of a history behind a hole may still wait.
    let isBroken = false;
    let expectedFrame = 0;
    for (const { frame, isKeyframe } of byFrame) {
      if (frame !== expectedFrame) isBroken = true;
      expectedFrame = frame + 1;
      if (isKeyframe) isBroken = false;
      assert.ok(isBroken || lost.has(frame) || seen.has(frame), `frame ${frame} is missing`);
    }
  }

  /** True times against timestamps: constant within a run of the clock, and nearly so from run to run. */
  function assertTimes(sent: Sent[], pictures: { timestamp: number; frame: number }[]): void {
    const byFrame = new Map(sent.map((entry) => [entry.frame, entry]));
    let total = 0;
    pictures.forEach(({ timestamp, frame }, i) => {
      const entry = byFrame.get(frame)!;
      if (i === 0) return;
      const before = byFrame.get(pictures[i - 1]!.frame)!;
      const stepMs = ((timestamp - pictures[i - 1]!.timestamp) | 0) / 90;
      const error = stepMs - (entry.shownMs - before.shownMs);
      total += error;
      // A picture is sent up to three frames before or behind its place in time.
      // A new run whose clock happens to agree with the time that went by counts as the same clock (decision 0036).
      const rawMs = ((entry.packet.readUInt32BE(4) - before.packet.readUInt32BE(4)) | 0) / 90;
      const agrees = Math.abs(rawMs - (entry.shownMs - before.shownMs)) <= MAX_AGREEING_ERROR_MS + 5 * FRAME_MS;
      const bound = entry.run === before.run ? 0.1 : 5 * FRAME_MS + (agrees ? MAX_AGREEING_ERROR_MS : 0);
      assert.ok(Math.abs(error) <= bound, `frame ${frame}: ${error.toFixed(1)} ms off`);
    });
    assert.ok(Math.abs(total) <= 5 * 5 * FRAME_MS + MAX_AGREEING_ERROR_MS);
  }

  test('has sender reports that agree with the timestamps under which its packets go on, for audio and video alike', () => {
    const stream = new CarriedStream('live/demo');
    const clocks = [0, 0];
    const instants: { track: number; ntpMs: number; timestamp: number }[] = [];
    stream.addSink({
      onFrame: () => {},
      onSenderReport: (frame) => {
        const ntpMs =
          frame.readUInt32BE(MEDIA_HEADER_BYTES) * 1000 + (frame.readUInt32BE(MEDIA_HEADER_BYTES + 4) * 1000) / 2 ** 32;
        instants.push({ track: readMediaHeader(frame).track, ntpMs, timestamp: frame.readUInt32BE(MEDIA_HEADER_BYTES + 8) });
      },
      onEpoch: () => {},
    });
    let nowMs = 0;
    const ingest = new Ingest({
      stream,
      epoch: 1,
      tracks: [VIDEO_TRACK, AUDIO_TRACK],
      parameterSets: { 0: SPROP },
      now: () => nowMs,
      wakeBy: () => {},
      onKeyframeRequest: () => {},
    });
    const sources = [
      { ssrc: 1000, payloadType: 102, rate: 90, everyMs: 40, seq: 1, base: 7 },
      { ssrc: 2000, payloadType: 111, rate: 48, everyMs: 20, seq: 500, base: 4_000_000_000 },
    ];
    for (; nowMs < 20_000; nowMs += 20) {
      if (nowMs === 8000)
        for (const source of sources) [source.seq, source.base] = [source.seq + 20_000, (source.base + 1_234_567_890) % 2 ** 32];
      sources.forEach((source, track) => {
        const timestamp = (source.base + nowMs * source.rate) >>> 0;
        const report = {
          ssrc: source.ssrc,
          rtpTimestamp: timestamp,
          ntpSeconds: Math.floor(nowMs / 1000),
          packets: 0,
          octets: 0,
        };
        // Also just in front of the first packets of the restart, which are not let out yet.
        if (nowMs % 1000 === 0)
          ingest.onPacket(writeSenderReport({ ...report, ntpFraction: Math.round(((nowMs % 1000) / 1000) * 2 ** 32) }));
        if (nowMs % source.everyMs !== 0) return;
        const payload = track === 0 ? (nowMs % 1000 === 0 ? idr() : slice()) : Buffer.alloc(20, 1);
        ingest.onPacket(rtpPacket({ ...source, seq: source.seq++, timestamp, payload }));
        clocks[track]! += 1;
      });
    }
    assert.equal(ingest.counters.clockJumps, 2);
    for (const track of [0, 1]) {
      const rate = sources[track]!.rate;
      const reports = instants.filter((instant) => instant.track === track);
      assert.ok(reports.length >= 19, `${reports.length} reports of track ${track}`);
      for (const [i, { ntpMs, timestamp }] of reports.entries()) {
        if (i === 0) continue;
        const stepMs = ((timestamp - reports[i - 1]!.timestamp) | 0) / rate;
        // The restart is joined by arrival: within a frame. Audio and video then differ by no more from what they were.
        assert.ok(Math.abs(stepMs - (ntpMs - reports[i - 1]!.ntpMs)) <= 40, `track ${track} at ${ntpMs} ms: ${stepMs}`);
      }
    }
  });
});

describe('the joined timeline', () => {
  const video = () => new Timeline({ clockRate: 90_000, maxReorderMs: 1000 });

  test('takes a pause for a pause: a frame each five seconds, a mute of ten, a clock that stood still, a sender that caught up', () => {
    const timeline = video();
    const cases: [timestampMs: number, atMs: number][] = [
      [0, 0],
      [5000, 5000],
      [10_000, 10_010],
      [20_000, 19_990],
      [20_040, 25_000],
      [24_990, 25_001],
      [25_040, 25_040],
    ];
    for (const [timestampMs, atMs] of cases) assert.equal(timeline.forward(timestampMs * 90, atMs, false), timestampMs * 90);
    assert.equal(timeline.jumps, 0);
  });

  test('lets a source be faster than real time', () => {
    const timeline = video();
    for (let frame = 0; frame < 1000; frame++) timeline.forward(frame * 3600, frame, false);
    assert.equal(timeline.jumps, 0);
  });

  test('joins a step as soon as it is longer than the clock may be ahead', () => {
    for (const [stepMs, jumps] of [
      [MAX_LEAD_GAIN_MS - 100, 0],
      [MAX_LEAD_GAIN_MS + 100, 1],
      [-900, 0],
      [-1100, 1],
    ] as const) {
      const timeline = video();
      timeline.forward(900_000, 0, false);
      timeline.forward((10_000 + stepMs + 40) * 90, 40, false);
      assert.equal(timeline.jumps, jumps, `${stepMs} ms`);
    }
  });

  test('goes on by itself when only the numbers began anew', () => {
    const timeline = video();
    timeline.forward(0xffff_ff00, 0, false);
    assert.equal(timeline.forward((0xffff_ff00 + 9000) >>> 0, 110, true), (0xffff_ff00 + 9000) >>> 0);
    assert.equal(timeline.jumps, 0);
  });

  test('follows a clock that drifts for a day', () => {
    const timeline = new Timeline({ clockRate: 48_000, maxReorderMs: 0 });
    for (let atMs = 0; atMs < 86_400_000; atMs += 2000) timeline.forward(Math.round(atMs * 48 * 1.0002) >>> 0, atMs, false);
    assert.equal(timeline.jumps, 0);
  });

  test('has a report of another clock refused', () => {
    const timeline = video();
    timeline.forward(90_000, 1000, false);
    assert.equal(timeline.report(90_000 + 900, 1010), 90_900);
    assert.equal(timeline.report(90_000 + 900_000, 1010), undefined);
  });
});
