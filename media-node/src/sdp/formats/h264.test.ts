import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { missingTools, nameOfFormat, parseProfileLevelId } from './h264.ts';

const PROFILES: [id: string, name: string][] = [
  ['42001f', 'Baseline'],
  ['42201f', 'Baseline'],
  ['58801f', 'Baseline'],
  ['42e01f', 'Constrained Baseline'],
  ['42C01F', 'Constrained Baseline'],
  ['4d801f', 'Constrained Baseline'],
  ['58c01f', 'Constrained Baseline'],
  ['4d001f', 'Main'],
  ['4d401f', 'Main'],
  ['4D4028', 'Main'],
  ['4d4828', 'Progressive Main'],
  ['4d4c28', 'Constrained Main'],
  ['58001f', 'Extended'],
  ['640028', 'High'],
  ['640828', 'Progressive High'],
  ['640c1f', 'Constrained High'],
  ['64003c', 'High'],
  ['6e0028', 'High 10'],
  ['6e1028', 'High 10 Intra'],
  ['7a0028', 'High 4:2:2'],
  ['f40028', 'High 4:4:4 Predictive'],
  ['f41028', 'High 4:4:4 Intra'],
  ['2c1028', 'CAVLC 4:4:4 Intra'],
];

describe('profile-level-id', () => {
  for (const [id, name] of PROFILES) test(`${id} is ${name}`, () => assert.equal(parseProfileLevelId(id)?.profile, name));

  test('names its level, 1b as 1', () => {
    assert.match(nameOfFormat(parseProfileLevelId('64003c')!), /64003c \(High, level 6\)/);
    assert.match(nameOfFormat(parseProfileLevelId('42e01f')!), /level 3\.1/);
    assert.equal(parseProfileLevelId('42f00b')?.level, 10);
    assert.equal(parseProfileLevelId('42e00b')?.level, 11);
  });

  test('is Baseline, level 1, where there is none', () => assert.equal(parseProfileLevelId(undefined)?.id, '42000a'));

  test('that is not three bytes in hexadecimal says nothing', () => {
    for (const id of ['422001f', '42e0', 'zz001f', '', ' 42e01f', 42])
      assert.equal(parseProfileLevelId(id), undefined, String(id));
  });

  const id = fc.tuple(fc.constantFrom('42', '4d', '58', '64', '6e', '7a', 'f4', '2c', '53', 'ff'), fc.nat(255), fc.nat(255));
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
  const ids = id.map(([idc, iop, level]) => `${idc}${hex(iop)}${hex(level)}`);

  test('of any three bytes is read, in either case, and is decoded by its own decoder', () => {
    fc.assert(
      fc.property(ids, (text) => {
        const format = parseProfileLevelId(text)!;
        assert.equal(parseProfileLevelId(text.toUpperCase())!.id, text);
        assert.deepEqual(missingTools(format, format), []);
      }),
    );
  });

  test('decoding is transitive: what a decoder of mine takes, a wider decoder takes', () => {
    fc.assert(
      fc.property(ids, ids, ids, (a, b, c) => {
        const [x, y, z] = [parseProfileLevelId(a)!, parseProfileLevelId(b)!, parseProfileLevelId(c)!];
        if (missingTools(y, x).length === 0 && missingTools(z, y).length === 0) assert.deepEqual(missingTools(z, x), []);
      }),
    );
  });
});

describe('a decoder', () => {
  const takes = (decoder: string, stream: string): boolean =>
    missingTools(parseProfileLevelId(decoder)!, parseProfileLevelId(stream)!).length === 0;

  test('takes what has no tool that it lacks', () => {
    for (const [decoder, stream] of [
      ['42e01f', '42001f'],
      ['42001f', '42e01f'],
      ['4d001f', '42e01f'],
      ['640028', '42001f'],
      ['640028', '4d4c28'],
      ['640028', '640828'],
      ['640c1f', '42e01f'],
      ['4d401f', '4d4c28'],
      ['f4001f', '640028'],
      ['7a0028', '6e1028'],
    ])
      assert.ok(takes(decoder!, stream!), `${decoder} takes ${stream}`);
  });

  test('does not take what has', () => {
    for (const [decoder, stream] of [
      ['42e01f', '4d401f'],
      ['4d001f', '640028'],
      ['640828', '640028'],
      ['640c1f', '640828'],
      ['640028', '6e0028'],
      ['640028', 'f40028'],
      ['640028', '530028'],
    ])
      assert.ok(!takes(decoder!, stream!), `${decoder} does not take ${stream}`);
  });
});
