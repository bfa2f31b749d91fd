import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { KEYFRAME } from '@millrace/api/trunk';
import { ForwardingGate, MAX_HELD_PACKETS, OPENS_WITH_KNOWN_SETS, TIME_JUMPED } from './forwarding-gate.ts';

/**
 * A scenario reads `ms: what comes`; what leaves the gate reads the same way. `7K` is packet 7, which opens a keyframe.
 * `7I` begins an IDR picture whose parameter sets are known, `7J` has a time without relation to the one before.
 * Out: `7` forwarded with its own number, `9=7` packet 9 forwarded as canonical 7, `-8 late` dropped, `K?` keyframe requested.
 */
function run(kind: 'audio' | 'video', steps: string[], options: { rttMs?: number; untilMs?: number } = {}): string[] {
  const out: string[] = [];
  let nowMs = 0;
  const say = (text: string) => {
    const last = out.at(-1);
    if (last?.startsWith(`${nowMs}: `)) out[out.length - 1] = `${last} ${text}`;
    else out.push(`${nowMs}: ${text}`);
  };
  const gate = new ForwardingGate<number>(
    kind,
    {
      forward: (seq, canonical) => say(seq === canonical ? `${seq}` : `${seq}=${canonical}`),
      drop: (seq, reason) => say(`-${seq} ${reason}`),
      restarted: () => {},
      requestKeyframe: () => say('K?'),
    },
    options.rttMs,
  );
  const runTo = (ms: number) => {
    while (gate.deadlineMs() <= ms) {
      nowMs = gate.deadlineMs();
      gate.tick(nowMs);
    }
    nowMs = ms;
  };
  for (const step of steps) {
    const [at, packets] = step.split(': ') as [string, string];
    runTo(Number(at));
    for (const packet of packets.split(' ')) {
      const seq = Number.parseInt(packet, 10);
      const hints = (packet.endsWith('I') ? OPENS_WITH_KNOWN_SETS : 0) | (packet.endsWith('J') ? TIME_JUMPED : 0);
      gate.push(seq & 0xffff, packet.endsWith('K') ? KEYFRAME : 0, seq, 100, nowMs, hints);
    }
  }
  runTo(options.untilMs ?? nowMs);
  return out;
}

interface Case {
  name: string;
  rttMs?: number;
  untilMs?: number;
  in: string[];
  out: string[];
}

const video: Case[] = [
  { name: 'what is in order passes at once', in: ['0: 5K 6', '9: 7'], out: ['0: 5 6', '9: 7'] },
  {
    name: 'nothing passes before the first keyframe, and one is requested after the wait',
    rttMs: 20,
    untilMs: 300,
    in: ['0: 4 5', '250: 6K 7'],
    out: ['200: K?', '250: -4 before-keyframe -5 before-keyframe 6 7'],
  },
  { name: 'a reordered packet holds back those behind it', in: ['0: 1K 3', '8: 2 4'], out: ['0: 1', '8: 2 3 4'] },
  {
    name: 'a lost packet pauses it until it is retransmitted',
    rttMs: 40,
    in: ['0: 1K 2', '10: 4 5', '33: 6', '60: 3', '66: 7'],
    out: ['0: 1 2', '60: 3 4 5 6', '66: 7'],
  },
  {
    name: 'a keyframe ends the pause; what precedes it is dropped and the numbering has no hole',
    rttMs: 40,
    in: ['0: 1K 2', '10: 4 5', '40: 7 8', '50: 9K 10', '60: 3 6'],
    out: [
      '0: 1 2',
      '50: -4 before-keyframe -5 before-keyframe -7 before-keyframe -8 before-keyframe 9=3 10=4',
      '60: -3 late -6 late',
    ],
  },
  {
    name: 'after the wait one keyframe is requested, again only after a second',
    rttMs: 10,
    untilMs: 2500,
    in: ['0: 1K', '10: 3', '500: 4', '1900: 5'],
    out: ['0: 1', '110: K?', '1010: -3 hold-limit -4 hold-limit', '1110: K?', '2110: K?'],
  },
  {
    name: 'the wait for a keyframe request is at most 300 ms on a long way',
    rttMs: 200,
    untilMs: 400,
    in: ['0: 1K', '10: 3'],
    out: ['0: 1', '310: K?'],
  },
  {
    name: 'a wait on a very short way still lets a frame come together',
    rttMs: 0.2,
    untilMs: 100,
    in: ['0: 1K', '10: 3'],
    out: ['0: 1', '60: K?'],
  },
  {
    name: 'a second gap gets a wait of its own, and no second request within a second',
    rttMs: 10,
    untilMs: 1300,
    in: ['0: 1K', '10: 3', '150: 2', '200: 5', '700: 4', '800: 7'],
    out: ['0: 1', '110: K?', '150: 2 3', '700: 4 5', '1110: K?'],
  },
  {
    name: 'a retransmitted first packet of a keyframe still opens it',
    rttMs: 20,
    in: ['0: 1K', '10: 3', '1500: 8 9', '1540: 7K'],
    out: ['0: 1', '210: K?', '1010: -3 hold-limit', '1210: K?', '1540: 7=2 8=3 9=4'],
  },
  {
    name: 'duplicates are dropped, held or passed',
    in: ['0: 1K 1 3 3 2 3'],
    out: ['0: 1 -1 duplicate -3 duplicate 2 3 -3 duplicate'],
  },
  {
    name: 'the number wraps, also inside a gap',
    in: ['0: 65534K 65535', '5: 65537', '6: 65536 65538'],
    out: ['0: 65534 65535', '6: 65536 65537 65538'],
  },
  {
    name: 'a publisher that restarts its numbers waits for a keyframe and keeps the canonical numbering',
    in: ['0: 100K 101', '20: 40000', '21: 40001', '30: 40002K 40003'],
    out: ['0: 100 101', '30: -40000 before-keyframe -40001 before-keyframe 40002=102 40003=103'],
  },
  {
    name: 'a restart that begins with a keyframe loses nothing',
    in: ['0: 100K 102', '20: 40000K 40001'],
    out: ['0: 100', '20: -102 restart 40000=101 40001=102'],
  },
  {
    name: 'an IDR picture whose sets are known opens it, at once when nothing is missing right before it',
    rttMs: 20,
    in: ['0: 5I 6', '10: 8 9I 10'],
    out: ['0: 5 6', '10: -8 before-keyframe 9=7 10=8'],
  },
  {
    name: 'an IDR picture waits for what is missing right before it, for it may be new sets',
    rttMs: 20,
    untilMs: 300,
    in: ['0: 1K', '10: 4I 5', '20: 3K', '30: 8I 9'],
    out: ['0: 1', '20: 3=2 4=3 5=4', '230: 8=5 9=6'],
  },
  {
    name: 'too much held opens it at an IDR picture that is among it',
    rttMs: 300,
    in: ['0: 1K 3I', `5: ${Array.from({ length: 1025 }, (_, i) => i + 4).join(' ')}`],
    out: ['0: 1', `5: ${['3=2', ...Array.from({ length: 1025 }, (_, i) => `${i + 4}=${i + 3}`)].join(' ')}`],
  },
  {
    name: 'a restart into numbers that were just used is told by its time',
    in: ['0: 1000K 1001 1002', '20: 500J 501K 502'],
    out: ['0: 1000 1001 1002', '20: -500 before-keyframe 501=1003 502=1004'],
  },
  {
    name: 'a restart into numbers and times that were just used is told when it goes on for long',
    in: ['0: 1000K 1001', `20: ${Array.from({ length: 65 }, (_, i) => 501 + i).join(' ')} 566K 567`],
    out: [
      '0: 1000 1001',
      `20: ${Array.from({ length: 64 }, (_, i) => `-${501 + i} late`).join(' ')} -565 before-keyframe 566=1002 567=1003`,
    ],
  },
  {
    name: 'a restart whose first packets change places loses neither',
    in: ['0: 100K', '20: 40001 40000K 40002'],
    out: ['0: 100', '20: 40000=101 40001=102 40002=103'],
  },
  {
    name: 'a step of the clock while packets change places is no restart',
    in: ['0: 100K', '20: 102J 101 103'],
    out: ['0: 100', '20: 101 102 103'],
  },
  {
    name: 'one stray packet is no restart',
    in: ['0: 100K', '10: 40000', '20: 101'],
    out: ['0: 100', '20: -40000 restart 101'],
  },
];

const audio: Case[] = [
  { name: 'passes from its first packet, in order', in: ['0: 9 10', '20: 11'], out: ['0: 9 10', '20: 11'] },
  { name: 'waits until in order', rttMs: 20, in: ['0: 1', '20: 3', '40: 4', '45: 2'], out: ['0: 1', '45: 2 3 4'] },
  {
    name: 'waits 10 × RTT, then goes on behind the gap without a hole in the numbers; what comes later is dropped',
    rttMs: 10,
    in: ['0: 1', '20: 3', '40: 4', '130: 2', '140: 5'],
    out: ['0: 1', '120: 3=2 4=3', '130: -2 late', '140: 5=4'],
  },
  { name: 'waits at most 300 ms', rttMs: 100, untilMs: 400, in: ['0: 1', '20: 3'], out: ['0: 1', '320: 3=2'] },
  { name: 'waits 300 ms when the RTT is not known', untilMs: 400, in: ['0: 1', '20: 3'], out: ['0: 1', '320: 3=2'] },
  {
    name: 'each gap has its own wait, from the packet behind it',
    rttMs: 10,
    untilMs: 300,
    in: ['0: 1', '20: 3', '60: 5', '110: 6'],
    out: ['0: 1', '120: 3=2', '160: 5=3 6=4'],
  },
  { name: 'never asks for a keyframe', rttMs: 1, untilMs: 5000, in: ['0: 1', '20: 3'], out: ['0: 1', '30: 3=2'] },
  { name: 'goes on after a restart of the numbers', in: ['0: 1', '20: 30000 30001'], out: ['0: 1', '20: 30000=2 30001=3'] },
];

describe('the gate, video', () => {
  for (const row of video) test(row.name, () => assert.deepEqual(run('video', row.in, row), row.out));
});
describe('the gate, audio', () => {
  for (const row of audio) test(row.name, () => assert.deepEqual(run('audio', row.in, row), row.out));
});

describe('the gate, whatever comes', () => {
  interface Arrival {
    seq: number;
    key: boolean;
    gapMs: number;
  }
  const arrival = fc.record({ step: fc.integer({ min: -6, max: 6 }), key: fc.nat(9), gapMs: fc.nat(120) });
  const arrivals = fc.tuple(fc.nat(65535), fc.array(arrival, { maxLength: 300 })).map(([start, steps]) => {
    let seq = start + 100;
    return steps.map(({ step, key, gapMs }): Arrival => ({ seq: (seq += step), key: key === 0, gapMs }));
  });

  function observe(kind: 'audio' | 'video', packets: Arrival[]) {
    const forwarded: Arrival[] = [];
    const canonical: number[] = [];
    let dropped = 0;
    let requests = 0;
    const gate = new ForwardingGate<Arrival>(
      kind,
      {
        forward: (packet, number) => {
          forwarded.push(packet);
          canonical.push(number);
        },
        drop: () => dropped++,
        restarted: () => {},
        requestKeyframe: () => requests++,
      },
      20,
    );
    let nowMs = 0;
    for (const packet of packets) {
      nowMs += packet.gapMs;
      gate.tick(nowMs);
      gate.push(packet.seq & 0xffff, packet.key ? KEYFRAME : 0, packet, 100, nowMs);
    }
    for (let i = 0; i < 20 && gate.deadlineMs() < Infinity; i++) gate.tick(gate.deadlineMs());
    return { forwarded, canonical, dropped, requests };
  }

  test('what it forwards is in order, numbered without a hole, and each packet is forwarded or dropped', () => {
    fc.assert(
      fc.property(fc.constantFrom('audio' as const, 'video' as const), arrivals, (kind, packets) => {
        const { forwarded, canonical, dropped } = observe(kind, packets);
        for (let i = 1; i < forwarded.length; i++) {
          assert.ok(forwarded[i]!.seq > forwarded[i - 1]!.seq, 'in order, once');
          assert.equal(canonical[i], canonical[i - 1]! + 1);
        }
        assert.equal(forwarded.length + dropped, packets.length);
      }),
      { numRuns: 500 },
    );
  });

  test('video is never forwarded over a hole, except to a keyframe', () => {
    fc.assert(
      fc.property(arrivals, (packets) => {
        const { forwarded } = observe('video', packets);
        forwarded.forEach((packet, i) => {
          const follows = i > 0 && packet.seq === forwarded[i - 1]!.seq + 1;
          assert.ok(follows || packet.key, `packet ${packet.seq} after ${forwarded[i - 1]?.seq}`);
        });
      }),
      { numRuns: 500 },
    );
  });

  test('what it holds is bounded', () => {
    let held = 0;
    const gate = new ForwardingGate<number>('video', {
      forward: () => held--,
      drop: () => held--,
      restarted: () => {},
      requestKeyframe: () => {},
    });
    for (let seq = 1; seq < 20_000; seq++) {
      held += 1;
      gate.push(seq & 0xffff, 0, seq, 1200, 0);
      assert.ok(held <= MAX_HELD_PACKETS + 1);
    }
  });
});
