import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { NODE_CERTIFICATE_BYTES, NodeCertificateVerifier, signNodeCertificate } from './node-certificate.ts';
import { PublicJwk } from './tokens.ts';

function signer(kid: string) {
  const { privateKey: key, publicKey } = generateKeyPairSync('ed25519');
  return { kid, key, jwk: PublicJwk.parse({ ...publicKey.export({ format: 'jwk' }), kid }) };
}

describe("A node's certificate", () => {
  const [one, two] = [signer('one'), signer('two')];
  const certified = { node: 'a', key: Buffer.alloc(32, 7) };

  test('is good for its key and name, under any key of control', () => {
    const verifier = new NodeCertificateVerifier([one.jwk, two.jwk]);
    for (const by of [one, two, one]) {
      const certificate = signNodeCertificate(certified, by);
      assert.equal(certificate.length, NODE_CERTIFICATE_BYTES);
      assert.equal(verifier.verify(certificate, certified), true);
      assert.equal(verifier.verify(certificate, { ...certified, node: 'b' }), false);
      assert.equal(verifier.verify(certificate, { ...certified, key: Buffer.alloc(32, 8) }), false);
    }
    assert.equal(new NodeCertificateVerifier([two.jwk]).verify(signNodeCertificate(certified, one), certified), false);
    assert.equal(new NodeCertificateVerifier([]).verify(signNodeCertificate(certified, one), certified), false);
  });

  test('by a stranger whose key has the id of control’s is none', () => {
    const stranger = signer('one');
    assert.equal(new NodeCertificateVerifier([one.jwk]).verify(signNodeCertificate(certified, stranger), certified), false);
  });

  test('with any bit changed, or of any bytes, is none, and nothing throws', () => {
    const verifier = new NodeCertificateVerifier([one.jwk]);
    const right = signNodeCertificate(certified, one);
    const changed = fc.tuple(fc.nat(right.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
      const bytes = Buffer.from(right);
      bytes[at]! ^= flip;
      return bytes;
    });
    const any = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    fc.assert(fc.property(fc.oneof(changed, any), (bytes) => assert.equal(verifier.verify(bytes, certified), false)));
  });
});
