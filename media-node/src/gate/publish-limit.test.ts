import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@millrace/service';
import { MAX_BURST_MS, MAX_RATE_RATIO, PublishLimit, type LimitedLayer } from './publish-limit.ts';

const FRAME_MS = 33;
const AUDIO_MS = 20;
const PACKET_BYTES = 1000;

interface Frame {
  atMs: number;
  layer: LimitedLayer;
  isKeyframe: boolean;
  packets: number;
  passed: number;
}

interface Source {
  limit: PublishLimit;
  frames: Frame[];
  /** Bytes that passed, by time. */
  passedAt: { atMs: number; bytes: number }[];
}

/** Sends video layers of these rates and audio for some time. `answers`: keyframe requests are answered with the next frame; else there is one each 2 s. */
function run(options: {
  maxKbps: number | undefined;
  layersKbps: readonly number[];
  audioKbps?: number;
  ms: number;
  answers?: boolean;
  random?: () => number;
}): Source & { video: LimitedLayer[]; audio: LimitedLayer } {
  const { maxKbps, layersKbps, audioKbps = 0, ms, random = () => 0.5 } = options;
  const limit = new PublishLimit();
  limit.set(maxKbps, 0);
  const audio = limit.add({ track: 1, layer: 0, isAudio: true, needsKeyframe: false });
  const video = layersKbps.map((_, layer) => limit.add({ track: 0, layer, isAudio: false, needsKeyframe: true }));
  const frames: Frame[] = [];
  const passedAt: Source['passedAt'] = [];
  const wanted = new Set<LimitedLayer>(video);
  const send = (layer: LimitedLayer, kbps: number, everyMs: number, atMs: number, isKeyframe: boolean): void => {
    const bytes = ((kbps * everyMs) / 8) * (0.5 + random());
    const packets = Math.max(1, Math.ceil(bytes / PACKET_BYTES));
    const frame: Frame = { atMs, layer, isKeyframe, packets, passed: 0 };
    for (let packet = 0; packet < packets; packet++) {
      const isFirst = packet === 0;
      if (limit.admits(layer, bytes / packets, isFirst, isFirst && isKeyframe, atMs)) {
        frame.passed += 1;
        passedAt.push({ atMs, bytes: bytes / packets });
      } else if (limit.wantsKeyframe(layer, atMs) && options.answers) wanted.add(layer);
    }
    frames.push(frame);
  };
  for (let atMs = 0; atMs < ms; atMs++) {
    if (audioKbps > 0 && atMs % AUDIO_MS === 0) send(audio, audioKbps, AUDIO_MS, atMs, false);
    if (atMs % FRAME_MS !== 0) continue;
    for (const [index, layer] of video.entries()) {
      const isKeyframe = wanted.delete(layer) || (!options.answers && atMs % (60 * FRAME_MS) === 0);
      send(layer, layersKbps[index]!, FRAME_MS, atMs, isKeyframe);
    }
  }
  return { limit, frames, passedAt, video, audio };
}

const shareOf = ({ frames }: Source, layer: LimitedLayer, fromMs = 0): number => {
  const own = frames.filter((frame) => frame.layer === layer && frame.atMs >= fromMs);
  return own.filter(({ passed, packets }) => passed === packets).length / own.length;
};

/** Every frame is whole or gone, and what follows a withheld frame is a keyframe. */
function assertPlayable({ frames }: Source): void {
  const isCut = new Map<LimitedLayer, boolean>();
  for (const { layer, packets, passed, isKeyframe, atMs } of frames) {
    assert.ok(passed === 0 || passed === packets, `${passed} of ${packets} packets of a frame at ${atMs} ms`);
    if (passed > 0 && layer.needsKeyframe && isCut.get(layer)) assert.ok(isKeyframe, `no keyframe at ${atMs} ms`);
    isCut.set(layer, passed === 0);
  }
}

/** No period has more than the bucket, what fills it, and the frame under way. */
function assertBounded({ passedAt }: Source, maxKbps: number, frameBytes: number): void {
  const bytesPerMs = (maxKbps * MAX_RATE_RATIO) / 8;
  let sum = 0;
  // The largest excess over the rate of any period that ends here.
  let excess = 0;
  let beforeMs = 0;
  for (const { atMs, bytes } of passedAt) {
    excess = Math.max(0, excess - (atMs - beforeMs) * bytesPerMs) + bytes;
    beforeMs = atMs;
    sum += bytes;
    const most = bytesPerMs * MAX_BURST_MS * 1.5 + frameBytes;
    assert.ok(
      excess <= most,
      `${Math.round(excess)} bytes ahead of the rate at ${atMs} ms, at most ${Math.round(most)} (${sum} in all)`,
    );
  }
}

describe('the bit rate limit of a publisher', () => {
  test('withholds nothing of a publisher at its limit, nor without one', () => {
    for (const maxKbps of [2000, undefined]) {
      const source = run({ maxKbps, layersKbps: [1900], audioKbps: 64, ms: 120_000, random: seededRandom(7) });
      assert.ok(source.frames.every(({ passed, packets }) => passed === packets));
    }
  });

  test('lets a short burst pass', () => {
    const source = run({ maxKbps: 2000, layersKbps: [3900], ms: 1800 });
    assert.ok(source.frames.every(({ passed, packets }) => passed === packets));
  });

  test('withholds the highest layers for good, and nothing that matters more', () => {
    const source = run({ maxKbps: 1000, layersKbps: [150, 500, 2500], audioKbps: 64, ms: 60_000, answers: true });
    assertPlayable(source);
    const [low, middle, high] = source.video;
    assert.equal(shareOf(source, source.audio), 1);
    assert.equal(shareOf(source, low!), 1);
    assert.equal(shareOf(source, middle!), 1);
    assert.equal(shareOf(source, high!, 5000), 0);
  });

  test('follows the order of layers as it is seen', () => {
    const limit = new PublishLimit();
    limit.set(1000, 0);
    const [first, second] = [0, 1].map((layer) => limit.add({ track: 0, layer, isAudio: false, needsKeyframe: true }));
    limit.reorder(0, [1, 0]);
    for (let atMs = 0; atMs < 5000; atMs += 10) {
      limit.admits(first!, 3000, true, false, atMs);
      limit.admits(second!, 500, true, false, atMs);
    }
    assert.deepEqual([first!.isOpen, second!.isOpen], [false, true]);
  });

  test('lets a single layer that is too large play a part of the time, from keyframe to frame end', () => {
    for (const answers of [true, false]) {
      const source = run({ maxKbps: 1000, layersKbps: [3000], audioKbps: 64, ms: 120_000, answers });
      assertPlayable(source);
      const share = shareOf(source, source.video[0]!);
      assert.ok(share > 0.2 && share < 0.4, `${share}, answers: ${answers}`);
      assert.equal(shareOf(source, source.audio), 1);
    }
  });

  test('withholds audio only when it alone is too much', () => {
    const source = run({ maxKbps: 100, layersKbps: [500], audioKbps: 800, ms: 60_000 });
    assert.ok(shareOf(source, source.video[0]!, 5000) < 0.02);
    const share = shareOf(source, source.audio, 5000);
    assert.ok(share > 0.08 && share < 0.2, String(share));
  });

  test('gives everything back when the limit goes or the publisher slows down', () => {
    const limit = new PublishLimit();
    limit.set(100, 0);
    const layer = limit.add({ track: 0, layer: 0, isAudio: false, needsKeyframe: true });
    for (let atMs = 0; atMs < 3000; atMs++) limit.admits(layer, 1000, true, false, atMs);
    assert.equal(limit.shut, 1);
    assert.equal(limit.admits(layer, 100, true, true, 5000), true);
    for (let atMs = 5000; atMs < 8000; atMs++) limit.admits(layer, 1000, true, false, atMs);
    limit.set(undefined, 8000);
    assert.equal(limit.wantsKeyframe(layer, 8000), true);
    assert.equal(limit.admits(layer, 100, true, false, 8000), false);
    assert.equal(limit.admits(layer, 100, true, true, 8001), true);
  });

  test('is not got around by a frame that never ends, nor by calling every packet a keyframe', () => {
    for (const isKeyframe of [false, true]) {
      const limit = new PublishLimit();
      limit.set(1000, 0);
      const layer = limit.add({ track: 0, layer: 0, isAudio: false, needsKeyframe: true });
      let passed = 0;
      for (let atMs = 0; atMs < 60_000; atMs++)
        if (limit.admits(layer, 1250, isKeyframe || atMs === 0, isKeyframe || atMs === 0, atMs)) passed += 1250;
      const kbps = (passed * 8) / 60_000;
      assert.ok(kbps < 1000 * MAX_RATE_RATIO + 60, `${kbps} kbit/s pass of 10,000`);
    }
  });

  test('holds for any publisher: bounded in every period, whole frames, keyframes first', () => {
    const random = seededRandom(11);
    for (let round = 0; round < 40; round++) {
      const maxKbps = 100 + Math.floor(random() * 5000);
      const count = 1 + Math.floor(random() * 4);
      const layersKbps = Array.from({ length: count }, (_, index) => maxKbps * random() * (index + 1));
      const audioKbps = random() < 0.5 ? 0 : maxKbps * random() * 0.5;
      const source = run({ maxKbps, layersKbps, audioKbps, ms: 30_000, answers: random() < 0.5, random });
      // Frames here are far smaller than the quarter of the bucket at which they may be cut.
      assertPlayable(source);
      assertBounded(source, maxKbps, ((Math.max(...layersKbps) * FRAME_MS) / 8) * 1.5 * count);
      if (audioKbps > 0 && audioKbps * 1.5 < maxKbps) assert.equal(shareOf(source, source.audio), 1);
    }
  });
});
