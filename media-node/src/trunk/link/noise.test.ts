import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { describe, test } from 'node:test';
import { NoiseInitiator, NoiseResponder, writeNonce } from './noise.ts';

/** Made with PyPI's `noiseprotocol` 0.3.1: prologue as below, psk 00..1f, ephemeral private keys of bytes 1 (initiator) and 2 (responder). */
const VECTOR = {
  first:
    'a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209' +
    '187e0b68e1438a4ed87209302d571c04197e2093b77985929ec291912bbfba0ff7a9',
  second:
    'ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59' +
    'a2302d5e50ed183c43591c20452ef5483e041023b7574354dd010226ab1caefd',
  fromInitiator: '9ed7937d5f5540925974d3f8a4cfe39d6b6deeff1a',
  fromResponder: '58f3f1112b4364acc6eff57ca036e532a568925b56a6',
};
const PSK = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const PROLOGUE = Buffer.from('millrace trunk 1');
const EPHEMERAL_BYTES = 32;

function seal(key: Parameters<typeof createCipheriv>[1], text: string): string {
  const nonce = Buffer.alloc(12);
  writeNonce(nonce, 0);
  const cipher = createCipheriv('aes-256-gcm', key, nonce) as ReturnType<typeof createCipheriv> & { getAuthTag(): Buffer };
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString('hex');
}

describe('The handshake', () => {
  test('is Noise_NNpsk0_25519_AESGCM_SHA256, byte for byte as an independent implementation has it', () => {
    const initiator = new NoiseInitiator(PSK, PROLOGUE, Buffer.alloc(32, 1), () => Buffer.from('initiation payload'));
    const { publicBytes } = initiator.ephemeral;
    assert.equal(Buffer.concat([publicBytes, initiator.sealedPayload]).toString('hex'), VECTOR.first);
    const responder = new NoiseResponder(PSK, PROLOGUE, publicBytes, initiator.sealedPayload);
    assert.equal(responder.payload.toString(), 'initiation payload');
    const answer = responder.answer(Buffer.alloc(32, 2), () => Buffer.from('response payload'));
    assert.equal(Buffer.concat([answer.ephemeral, answer.sealedPayload]).toString('hex'), VECTOR.second);
    const second = Buffer.from(VECTOR.second, 'hex');
    const finished = initiator.finish(second.subarray(0, EPHEMERAL_BYTES), second.subarray(EPHEMERAL_BYTES));
    assert.equal(finished.payload.toString(), 'response payload');
    assert.equal(seal(finished.keys.send, 'first'), VECTOR.fromInitiator);
    assert.equal(seal(answer.keys.send, 'second'), VECTOR.fromResponder);
    assert.ok(finished.keys.receive.equals(answer.keys.send));
    assert.ok(finished.keys.send.equals(answer.keys.receive));
  });

  test('a forged response is refused and spoils nothing for the true one', () => {
    const initiator = new NoiseInitiator(PSK, PROLOGUE, Buffer.alloc(32, 1), () => Buffer.from('initiation payload'));
    const second = Buffer.from(VECTOR.second, 'hex');
    const forged = Buffer.from(second);
    forged[40]! ^= 1;
    assert.throws(() => initiator.finish(forged.subarray(0, 32), forged.subarray(32)));
    assert.throws(() => initiator.finish(Buffer.alloc(32), second.subarray(32)), 'an all-zero point');
    assert.equal(initiator.finish(second.subarray(0, 32), second.subarray(32)).payload.toString(), 'response payload');
  });

  test('an initiation under another key does not open', () => {
    const initiator = new NoiseInitiator(PSK, PROLOGUE, Buffer.alloc(32, 1), () => Buffer.from('x'));
    assert.throws(() => new NoiseResponder(Buffer.alloc(32), PROLOGUE, initiator.ephemeral.publicBytes, initiator.sealedPayload));
  });
});
