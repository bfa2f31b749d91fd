import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Envelope, SHARD_HEADER_BYTES } from '../frames.ts';
import { FecDecoder } from './decoder.ts';
import { FecEncoder } from './encoder.ts';
import { inverse, multiply } from './gf256.ts';

const MAX_FRAMES = 200;

function shard(frames: Buffer, at: { group: number; index: number }): Buffer {
  const plaintext = Buffer.alloc(SHARD_HEADER_BYTES + frames.length);
  plaintext[0] = Envelope.shard;
  plaintext[1] = at.index;
  plaintext.writeUInt32LE(at.group, 2);
  frames.copy(plaintext, SHARD_HEADER_BYTES);
  return plaintext;
}

/** What a decoder makes of these plaintexts, as hex. */
function decode(plaintexts: Buffer[]): { got: string[]; decoder: FecDecoder } {
  const got: string[] = [];
  const decoder = new FecDecoder((frames) => got.push(frames.toString('hex')));
  for (const plaintext of plaintexts) {
    if (plaintext[0] === Envelope.parity) {
      if (decoder.receiveParity(plaintext) === 'new') decoder.settle(plaintext);
    } else if (decoder.receiveShard(plaintext) === 'new') {
      got.push(plaintext.toString('hex', SHARD_HEADER_BYTES));
      decoder.settle(plaintext);
    }
  }
  return { got, decoder };
}

const payloads = fc.uint8Array({ minLength: 1, maxLength: MAX_FRAMES }).map((bytes) => Buffer.from(bytes));

describe('Forward error correction', () => {
  test('every element of the field but 0 has an inverse', () => {
    for (let a = 1; a < 256; a++) assert.equal(multiply(a, inverse(a)), 1, `a=${a}`);
  });

  test('recovers any losses up to the number of parity shards, in any order of arrival, delivering each shard once', () => {
    const group = fc.record({
      data: fc.array(payloads, { minLength: 1, maxLength: 20 }),
      parityShards: fc.integer({ min: 1, max: 6 }),
      seed: fc.array(fc.nat(), { minLength: 40, maxLength: 40 }),
    });
    fc.assert(
      fc.property(group, ({ data, parityShards, seed }) => {
        const encoder = new FecEncoder(data.length, parityShards, MAX_FRAMES);
        const sent = data.map((frames) => shard(frames, encoder.add(frames, 0)));
        assert.ok(encoder.isFull);
        const all = [...sent, ...encoder.close()];
        const shuffled = all.map((plaintext, i) => ({ plaintext, key: seed[i]! })).sort((a, b) => a.key - b.key);
        const arrived = shuffled.slice(Math.min(parityShards, all.length - 1)).map(({ plaintext }) => plaintext);
        const { got } = decode(arrived);
        assert.deepEqual(got.sort(), data.map((frames) => frames.toString('hex')).sort());
      }),
      { numRuns: 200 },
    );
  });

  test('a group closed early by time is protected by its share of parity', () => {
    const encoder = new FecEncoder(10, 2, MAX_FRAMES);
    const data = [Buffer.from('one'), Buffer.from('second'), Buffer.from('x')];
    const sent = data.map((frames) => shard(frames, encoder.add(frames, 100)));
    assert.equal(encoder.dueMs, 130);
    const parity = encoder.close();
    assert.equal(parity.length, 1);
    assert.equal(encoder.dueMs, Infinity);
    assert.deepEqual(decode([sent[0]!, ...parity, sent[2]!]).got.sort(), data.map((frames) => frames.toString('hex')).sort());
  });

  test('a shard that comes after it was recovered counts as a duplicate, one whose group is forgotten is still taken', () => {
    const encoder = new FecEncoder(2, 1, MAX_FRAMES);
    const [a, b] = [Buffer.from('aa'), Buffer.from('bbb')];
    const sent = [shard(a, encoder.add(a, 0)), shard(b, encoder.add(b, 0))];
    const parity = encoder.close();
    const { got, decoder } = decode([sent[1]!, ...parity, sent[0]!]);
    assert.equal(got.length, 2);
    assert.equal(decoder.counters.recovered, 1);
    assert.equal(decoder.receiveShard(shard(a, { group: 64, index: 0 })), 'new');
    assert.equal(decoder.receiveShard(sent[0]!), 'new');
  });

  test('counts what was lost beyond the parity', () => {
    const encoder = new FecEncoder(4, 1, MAX_FRAMES);
    const data = ['a', 'b', 'c', 'd'].map((text) => Buffer.from(text));
    const sent = data.map((frames) => shard(frames, encoder.add(frames, 0)));
    const { decoder, got } = decode([sent[0]!, sent[3]!, ...encoder.close(), shard(data[0]!, { group: 64, index: 0 })]);
    assert.equal(got.length, 3);
    assert.equal(decoder.counters.unrecovered, 2);
  });

  test('never throws on arbitrary shards', () => {
    const anything = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 30 });
    fc.assert(
      fc.property(anything, (all) => {
        decode(
          all.map((bytes, i) =>
            Buffer.from([i % 3 ? Envelope.parity : Envelope.shard, bytes[0] ?? 0, 1, 0, 0, 0, ...bytes.subarray(1)]),
          ),
        );
        decode(all.map((bytes) => Buffer.from(bytes)));
      }),
    );
  });
});
