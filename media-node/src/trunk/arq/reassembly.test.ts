import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MAX_MEDIA_PAYLOAD, Reassembly } from './reassembly.ts';
import { MAX_MEDIA_FRAGMENTS, mediaFragment } from './segment.ts';

/** Cuts a payload into so many parts of equal size, the last one smaller. */
function cut(payload: Buffer, count: number): { fragment: number; part: Buffer }[] {
  const bytes = Math.ceil(payload.length / count);
  return Array.from({ length: count }, (_, at) => ({
    fragment: mediaFragment(at, count - 1 - at),
    part: payload.subarray(at * bytes, (at + 1) * bytes),
  }));
}

describe('Reassembly of media payloads', () => {
  test('gives each payload once and byte for byte, whatever the order of the fragments of many payloads and conversations', () => {
    const payloads = fc.array(
      fc.record({
        conversation: fc.constantFrom(1, 2, 0xffff_ffff),
        bytes: fc.integer({ min: 64, max: MAX_MEDIA_PAYLOAD }),
        count: fc.integer({ min: 2, max: MAX_MEDIA_FRAGMENTS }),
        filler: fc.nat(255),
      }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(payloads, fc.infiniteStream(fc.nat()), fc.constantFrom(0, 0xffff_fff0), (them, order, firstSerial) => {
        const reassembly = new Reassembly();
        const next = new Map<number, number>();
        const parts = them.flatMap(({ conversation, bytes, count, filler }) => {
          const payload = Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 7 + filler) & 0xff));
          return cut(payload, count).map(({ fragment, part }) => {
            const serial = next.get(conversation) ?? firstSerial;
            next.set(conversation, (serial + 1) >>> 0);
            return { conversation, serial, fragment, part, payload };
          });
        });
        parts.sort(() => (order.next().value % 3) - 1);
        const whole: Buffer[] = [];
        for (const { conversation, serial, fragment, part, payload } of parts) {
          const result = reassembly.add(conversation, serial, fragment, part, 0);
          if (!result) continue;
          assert.ok(result.equals(payload));
          whole.push(result);
        }
        assert.equal(whole.length, them.length);
        assert.deepEqual(reassembly.counters, { incomplete: 0, refused: 0 });
      }),
    );
  });

  test('forgets what never became whole, and counts it', () => {
    const reassembly = new Reassembly();
    for (let i = 0; i < 10; i++) reassembly.add(1, i * 2, mediaFragment(0, 1), Buffer.alloc(500), i);
    reassembly.dropBefore(5);
    assert.equal(reassembly.counters.incomplete, 5);
    assert.equal(reassembly.add(1, 1, mediaFragment(1, 0), Buffer.alloc(500), 11), undefined, 'its first half is gone');
    assert.equal(reassembly.add(1, 19, mediaFragment(1, 0), Buffer.alloc(500), 11)?.length, 1000);
  });

  test('keeps what came last when too much waits', () => {
    const reassembly = new Reassembly();
    for (let i = 0; i < 10_000; i++) reassembly.add(1, i * 2, mediaFragment(0, 1), Buffer.alloc(1), 0);
    assert.equal(reassembly.counters.incomplete, 10_000 - 2048);
    assert.equal(reassembly.add(1, 19_999, mediaFragment(1, 0), Buffer.alloc(1), 0)?.length, 2);
  });

  test('refuses fragments that contradict each other, are empty, too many, or too much together', () => {
    const refused = (...parts: [serial: number, fragment: number, bytes: number][]): boolean => {
      const reassembly = new Reassembly();
      const results = parts.map(([serial, fragment, bytes]) => reassembly.add(1, serial, fragment, Buffer.alloc(bytes), 0));
      return results.every((result) => result === undefined) && reassembly.counters.refused > 0;
    };
    assert.ok(refused([0, mediaFragment(0, 1), 10], [1, mediaFragment(1, 1), 10]), 'another count');
    assert.ok(refused([0, mediaFragment(0, 1), 10], [0, mediaFragment(0, 1), 10]), 'the same place again');
    assert.ok(refused([0, mediaFragment(0, 1), 0]), 'empty');
    assert.ok(refused([0, mediaFragment(0, MAX_MEDIA_FRAGMENTS), 10]), 'too many');
    assert.ok(refused([0, mediaFragment(0, 1), 1500], [1, mediaFragment(1, 0), MAX_MEDIA_PAYLOAD - 1499]), 'too much');
  });

  test('takes any fragments without throwing or handing out more than a payload', () => {
    const fragment = fc.tuple(fc.nat(3), fc.nat({ max: 20 }), fc.integer({ min: 1, max: 255 }), fc.nat(3000));
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 200 }), (fragments) => {
        const reassembly = new Reassembly();
        for (const [conversation, serial, place, bytes] of fragments) {
          const whole = reassembly.add(conversation, serial, place, Buffer.alloc(bytes), 0);
          assert.ok(whole === undefined || whole.length <= MAX_MEDIA_PAYLOAD);
        }
      }),
    );
  });
});
