import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KEYFRAME } from '@millrace/api/trunk';
import { PacketRing, VIDEO } from '../carried-stream/index.ts';
import { mediaFrame } from '../media-frame.fixture.ts';
import { LayerCursor } from './layer-cursor.ts';

/** `ms: what comes` to `ms: what goes out`; `7K` opens a keyframe, `K?` asks for one, `*7` begins new numbers. */
function run(steps: string[], options: { keyframes?: boolean; untilMs?: number } = {}): string[] {
  const ring = new PacketRing(VIDEO);
  const out: string[] = [];
  let nowMs = 0;
  const say = (text: string) => {
    if (out.at(-1)?.startsWith(`${nowMs}: `)) out[out.length - 1] += ` ${text}`;
    else out.push(`${nowMs}: ${text}`);
  };
  const cursor = new LayerCursor(
    { ring, keyframes: options.keyframes ?? true, waitMs: 100 },
    { emit: (_frame, seq, restarted) => say(restarted ? `*${seq}` : `${seq}`), requestKeyframe: () => say('K?') },
  );
  const runTo = (ms: number) => {
    while (cursor.deadlineMs <= ms) {
      nowMs = cursor.deadlineMs;
      cursor.tick(nowMs);
    }
    nowMs = ms;
  };
  for (const step of steps) {
    const [at, packets] = step.split(': ') as [string, string];
    runTo(Number(at));
    for (const packet of packets.split(' ')) {
      const seq = Number.parseInt(packet, 10);
      const key = packet.endsWith('K');
      const frame = mediaFrame({ seq, marks: key ? KEYFRAME : 0 });
      if (ring.insert(seq, frame, key, nowMs) === 'new') cursor.onPacket(seq, frame, nowMs);
    }
  }
  runTo(options.untilMs ?? nowMs);
  return out;
}

describe('order at the last hop', () => {
  const cases: [what: string, steps: string[], out: string[], options?: { keyframes?: boolean; untilMs?: number }][] = [
    ['in order passes at once', ['0: 1K 2', '5: 3'], ['0: *1 2', '5: 3']],
    ['begins at a keyframe and asks for one', ['0: 1', '5: 2', '9: 3K 4'], ['0: K?', '9: *3 4']],
    ['takes what came before its keyframe but belongs behind it', ['0: 5', '5: 4K'], ['0: K?', '5: *4 5']],
    ['waits for what was overtaken', ['0: 1K 3 4', '60: 2'], ['0: *1', '60: 2 3 4']],
    ['passes a gap that stays open, and asks for a keyframe', ['0: 1K 3 4'], ['0: *1', '100: K? 3 4'], { untilMs: 200 }],
    ['asks for none when one is behind the gap', ['0: 1K 3 4K'], ['0: *1', '100: 3 4'], { untilMs: 200 }],
    ['a second gap has a wait of its own', ['0: 1K 3', '50: 5'], ['0: *1', '100: K? 3', '150: K? 5'], { untilMs: 300 }],
    ['what comes after its gap was passed is not sent', ['0: 1K 3', '120: 2'], ['0: *1', '100: K? 3']],
    ['audio begins anywhere and asks for nothing', ['0: 7 9'], ['0: *7', '100: 9'], { keyframes: false, untilMs: 200 }],
    [
      'a jump that no loss explains begins anew at a keyframe',
      ['0: 1K', '10: 90000', '20: 90001K'],
      ['0: *1', '10: K?', '20: *90001'],
    ],
  ];
  for (const [what, steps, out, options] of cases) test(what, () => assert.deepEqual(run(steps, options), out));
});
