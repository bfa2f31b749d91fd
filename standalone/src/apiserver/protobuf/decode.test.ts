import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StatusError } from '../status.ts';
import { decodeProtobuf } from './decode.ts';

/** A request of `kubectl create namespace foo`, version 1.36. */
const namespace = Buffer.from(
  '6b3873000a0f0a02763112094e616d657370616365121b0a130a03666f6f12001a0022002a003200380042001200' + '1a020a001a002200',
  'hex',
);

test('an object from the real kubectl is decoded, without its empty fields', () => {
  assert.deepEqual(decodeProtobuf(namespace), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'foo', generation: 0 },
    spec: {},
  });
});

test('a kind without protobuf support is 415', () => {
  const pod = Buffer.from(namespace.toString('latin1').replace('Namespace', 'Mamespace'), 'latin1');
  assert.throws(() => decodeProtobuf(pod), { code: 415 });
});

test('any other input is decoded or refused, and never crashes', () => {
  const mutated = fc
    .tuple(fc.nat(namespace.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(namespace.length))
    .map(([at, byte, length]) => {
      const copy = Buffer.from(namespace);
      copy[at] = byte;
      return copy.subarray(0, length);
    });
  const tail = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([namespace.subarray(0, 21), bytes]));
  fc.assert(
    fc.property(fc.oneof(mutated, tail), (bytes) => {
      try {
        assert.equal(typeof decodeProtobuf(bytes).kind, 'string');
      } catch (error) {
        assert.ok(error instanceof StatusError && (error.code === 400 || error.code === 415), String(error));
      }
    }),
    { numRuns: 3_000 },
  );
});
