import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FRAME_END, FRAME_START, KEYFRAME, withLayers } from '@millrace/api/trunk';
import { seededRandom } from '@millrace/service';
import { PublishLimit } from './publish-limit.ts';
import { SvcParts } from './svc-parts.ts';

const PICTURE_MS = 33;
const PACKET_BYTES = 1000;
/** Temporal layers of consecutive pictures. */
const PATTERN = [0, 2, 1, 2];

interface Frame {
  picture: number;
  spatial: number;
  temporal: number;
  isKeyframe: boolean;
  packets: number;
  passed: number;
  /** The last packet of the picture as the publisher sends it, or as the limit lets it end. */
  ends: boolean;
}

/** Sends pictures of these spatial layers' rates, for `ms`. A keyframe that is asked for comes with the next picture. */
function run(options: {
  maxKbps: number;
  kbps: readonly number[];
  temporal?: number;
  ms: number;
  random?: () => number;
}): Frame[] {
  const { maxKbps, kbps, temporal: temporals = 3, ms, random = () => 0.5 } = options;
  const limit = new PublishLimit();
  limit.set(maxKbps, 0);
  const parts = new SvcParts(limit, limit.add({ track: 0, layer: 0, isAudio: false, needsKeyframe: true }));
  const frames: Frame[] = [];
  let isWanted = true;
  let sinceKeyframe = 0;
  for (let picture = 0; picture * PICTURE_MS < ms; picture++) {
    if (isWanted) sinceKeyframe = 0;
    const temporal = Math.min(PATTERN[sinceKeyframe++ % PATTERN.length]!, temporals - 1);
    const isKeyframe = isWanted;
    isWanted = false;
    for (const [spatial, rate] of kbps.entries()) {
      const bytes = ((rate * PICTURE_MS) / 8) * (0.5 + random());
      const packets = Math.max(1, Math.ceil(bytes / PACKET_BYTES));
      const frame: Frame = { picture, spatial, temporal, isKeyframe, packets, passed: 0, ends: false };
      for (let packet = 0; packet < packets; packet++) {
        const [isFirst, isLast] = [packet === 0, packet === packets - 1];
        const opens = isFirst && isKeyframe && spatial === 0;
        const marks = withLayers(
          (isFirst ? FRAME_START : 0) | (isLast ? FRAME_END : 0) | (opens ? KEYFRAME : 0),
          spatial,
          temporal,
        );
        const nowMs = picture * PICTURE_MS;
        if (parts.admits(marks, bytes / packets, isFirst && spatial === 0, opens, nowMs)) {
          frame.passed += 1;
          frame.ends ||= (isLast && spatial === kbps.length - 1) || parts.endsPicture(marks);
        } else isWanted ||= parts.wantsKeyframe(marks, nowMs);
      }
      frames.push(frame);
    }
  }
  return frames;
}

/** Whole frames, each with those it refers to, and a marker at the end of each picture and nowhere else. */
function assertDecodable(frames: Frame[]): void {
  /** For each spatial layer the last picture of each temporal layer, and whether it passed. */
  const last = new Map<string, boolean>();
  const pictures = Map.groupBy(frames, ({ picture }) => picture);
  for (const [picture, layers] of pictures) {
    const passed = layers.filter((frame) => frame.passed > 0);
    assert.ok(passed.every((frame) => frame.passed === frame.packets));
    assert.deepEqual(
      passed.map(({ spatial }) => spatial),
      passed.map((_, index) => index),
      `a layer is missing below in ${picture}`,
    );
    if (passed.length > 0)
      assert.deepEqual(
        passed.map(({ ends }) => ends),
        passed.map((_, index) => index === passed.length - 1),
      );
    for (const { spatial, temporal, isKeyframe, passed: packets } of layers) {
      const isPassed = packets > 0;
      // It refers to the last frames of its layer and of the temporal layers below.
      if (isPassed && !isKeyframe)
        for (let below = 0; below <= temporal; below++)
          assert.notEqual(last.get(`${spatial} ${below}`), false, `${picture}: ${spatial}`);
      if (isKeyframe) for (let t = 0; t < 3; t++) last.delete(`${spatial} ${t}`);
      last.set(`${spatial} ${temporal}`, isPassed);
    }
  }
}

const shareOf = (frames: Frame[], of: (frame: Frame) => boolean): number => {
  const own = frames.filter((frame) => of(frame) && frame.picture * PICTURE_MS > 5000);
  return own.filter(({ passed }) => passed > 0).length / own.length;
};

describe('an encoding with layers in it, above its bit rate limit', () => {
  test('loses its upper temporal layers first, and no picture of the lowest', () => {
    const frames = run({ maxKbps: 1000, kbps: [1600], ms: 60_000 });
    assertDecodable(frames);
    assert.equal(
      shareOf(frames, ({ temporal }) => temporal === 0),
      1,
    );
    assert.equal(
      shareOf(frames, ({ temporal }) => temporal === 1),
      1,
    );
    assert.equal(
      shareOf(frames, ({ temporal }) => temporal === 2),
      0,
    );
  });

  test('loses upper spatial layers next, at whole pictures that end with a marker', () => {
    const frames = run({ maxKbps: 500, kbps: [200, 500, 1800], ms: 60_000 });
    assertDecodable(frames);
    assert.equal(
      shareOf(frames, ({ spatial, temporal }) => spatial === 0 && temporal === 0),
      1,
    );
    assert.equal(
      shareOf(frames, ({ spatial, temporal }) => spatial === 1 && temporal === 0),
      1,
    );
    assert.equal(
      shareOf(frames, ({ spatial, temporal }) => spatial === 2 || temporal === 2),
      0,
    );
  });

  test('loses nothing at its limit', () => {
    assert.equal(
      shareOf(run({ maxKbps: 2600, kbps: [200, 500, 1800], ms: 60_000 }), () => true),
      1,
    );
  });

  test('has all of it again after a keyframe when the limit goes', () => {
    const limit = new PublishLimit();
    limit.set(500, 0);
    const parts = new SvcParts(limit, limit.add({ track: 0, layer: 0, isAudio: false, needsKeyframe: true }));
    const upper = withLayers(FRAME_START, 0, 1);
    for (let atMs = 0; atMs < 5000; atMs += 20) {
      parts.admits(0, 200, true, atMs === 0, atMs);
      parts.admits(upper, 4000, true, false, atMs + 10);
    }
    assert.equal(parts.admits(upper, 10, true, false, 5000), false);
    limit.set(undefined, 5001);
    assert.equal(parts.admits(upper, 10, true, false, 5002), false);
    assert.equal(parts.wantsKeyframe(upper, 5002), true);
    assert.equal(parts.admits(KEYFRAME, 10, true, true, 5003), true);
    assert.equal(parts.admits(upper, 10, true, false, 5004), true);
  });

  test('without layers is the base layer alone', () => {
    const frames = run({ maxKbps: 1000, kbps: [3000], temporal: 1, ms: 60_000 });
    assertDecodable(frames);
    const share = shareOf(frames, () => true);
    assert.ok(share > 0.2 && share < 0.45, String(share));
  });

  test('can be decoded whatever it is', () => {
    const random = seededRandom(5);
    for (let round = 0; round < 60; round++) {
      const maxKbps = 200 + random() * 3000;
      const kbps = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, spatial) => maxKbps * random() * (spatial + 0.3));
      assertDecodable(run({ maxKbps, kbps, temporal: 1 + Math.floor(random() * 3), ms: 30_000, random }));
    }
  });
});
