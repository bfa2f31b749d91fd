import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto';
import { TAG_BYTES } from './wire.ts';

/**
 * Noise_NNpsk0_25519_AESGCM_SHA256 (The Noise Protocol Framework, revision 34, sections 5, 7.5 and 9): two messages, both sealed under the
 * pre-shared key from the first byte of payload on, session keys mixed with an ephemeral-ephemeral X25519 so that a later leak of the mesh
 * key opens nothing recorded before.
 */
const PROTOCOL = 'Noise_NNpsk0_25519_AESGCM_SHA256';
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_X25519 = Buffer.from('302a300506032b656e032100', 'hex');
const EMPTY = Buffer.alloc(0);

export interface EphemeralKey {
  privateKey: KeyObject;
  publicBytes: Buffer;
}

function ephemeralFrom(seed: Buffer): EphemeralKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_X25519, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey, publicBytes: spki.subarray(SPKI_X25519.length) };
}

function agree(own: EphemeralKey, peerBytes: Buffer): Buffer {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_X25519, peerBytes]), format: 'der', type: 'spki' });
  return diffieHellman({ privateKey: own.privateKey, publicKey });
}

/** The 96-bit nonce of Noise's AESGCM: 32 zero bits, then the counter big-endian. */
export function writeNonce(nonce: Buffer, counter: number): void {
  nonce.writeUInt32BE(Math.floor(counter / 0x1_0000_0000), 4);
  nonce.writeUInt32BE(counter % 0x1_0000_0000, 8);
}

class SymmetricState {
  private h: Buffer = Buffer.from(PROTOCOL);
  private ck: Buffer = this.h;
  private key: KeyObject | undefined;
  private counter = 0;

  /** The handshake hash: it covers every message so far, and the pre-shared key. */
  get transcript(): Buffer {
    return this.h;
  }

  mixHash(data: Buffer): void {
    this.h = createHash('sha256').update(this.h).update(data).digest();
  }

  mixKey(material: Buffer): void {
    const [ck, key] = this.expand(material);
    this.ck = ck;
    this.setKey(key);
  }

  mixKeyAndHash(material: Buffer): void {
    const [ck, hash, key] = this.expand(material);
    this.ck = ck;
    this.mixHash(hash);
    this.setKey(key);
  }

  seal(plaintext: Buffer): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.key!, this.nonce(), { authTagLength: TAG_BYTES });
    cipher.setAAD(this.h);
    const sealed = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    this.mixHash(sealed);
    return sealed;
  }

  open(sealed: Buffer): Buffer {
    const decipher = createDecipheriv('aes-256-gcm', this.key!, this.nonce(), { authTagLength: TAG_BYTES });
    decipher.setAAD(this.h);
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    const plaintext = Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()]);
    this.mixHash(sealed);
    return plaintext;
  }

  split(): [KeyObject, KeyObject] {
    const [first, second] = this.expand(EMPTY);
    return [createSecretKey(first), createSecretKey(second)];
  }

  private setKey(bytes: Buffer): void {
    this.key = createSecretKey(bytes);
    this.counter = 0;
  }

  private nonce(): Buffer {
    const nonce = Buffer.alloc(12);
    writeNonce(nonce, this.counter++);
    return nonce;
  }

  /** HKDF as Noise section 4.3 has it. */
  private expand(material: Buffer): [Buffer, Buffer, Buffer] {
    const temp = createHmac('sha256', this.ck).update(material).digest();
    const one = createHmac('sha256', temp)
      .update(Buffer.from([1]))
      .digest();
    const two = createHmac('sha256', temp)
      .update(one)
      .update(Buffer.from([2]))
      .digest();
    const three = createHmac('sha256', temp)
      .update(two)
      .update(Buffer.from([3]))
      .digest();
    return [one, two, three];
  }
}

/** A payload that may depend on the handshake before it, e.g. sign it (section 11.2, channel binding). */
type PayloadOf = (transcript: Buffer) => Buffer;

export interface SessionKeys {
  send: KeyObject;
  receive: KeyObject;
}

function begin(psk: Buffer, prologue: Buffer, ephemeral: Buffer): SymmetricState {
  const state = new SymmetricState();
  state.mixHash(prologue);
  state.mixKeyAndHash(psk);
  state.mixHash(ephemeral);
  state.mixKey(ephemeral);
  return state;
}

export class NoiseInitiator {
  readonly ephemeral: EphemeralKey;
  readonly sealedPayload: Buffer;
  private readonly state: SymmetricState;

  constructor(psk: Buffer, prologue: Buffer, seed: Buffer, payload: PayloadOf) {
    this.ephemeral = ephemeralFrom(seed);
    this.state = begin(psk, prologue, this.ephemeral.publicBytes);
    this.sealedPayload = this.state.seal(payload(this.state.transcript));
  }

  /** Throws when the response was not made with the same key for this initiation. Works on a copy, so that a forged one spoils nothing. */
  finish(peerEphemeral: Buffer, sealed: Buffer): { payload: Buffer; transcript: Buffer; keys: SessionKeys } {
    const state = Object.assign(new SymmetricState(), this.state);
    state.mixHash(peerEphemeral);
    state.mixKey(peerEphemeral);
    state.mixKey(agree(this.ephemeral, peerEphemeral));
    const { transcript } = state;
    const payload = state.open(sealed);
    const [send, receive] = state.split();
    return { payload, transcript, keys: { send, receive } };
  }
}

/** First half of a responder: opens the initiation without any X25519, so that strangers cost a few hashes and no more. Throws on a wrong key. */
export class NoiseResponder {
  readonly payload: Buffer;
  /** The handshake hash before the initiator's payload. */
  readonly transcript: Buffer;
  private readonly state: SymmetricState;
  private readonly peerEphemeral: Buffer;

  constructor(psk: Buffer, prologue: Buffer, peerEphemeral: Buffer, sealed: Buffer) {
    this.peerEphemeral = Buffer.from(peerEphemeral);
    this.state = begin(psk, prologue, this.peerEphemeral);
    this.transcript = this.state.transcript;
    this.payload = this.state.open(sealed);
  }

  answer(seed: Buffer, payload: PayloadOf): { ephemeral: Buffer; sealedPayload: Buffer; keys: SessionKeys } {
    const own = ephemeralFrom(seed);
    this.state.mixHash(own.publicBytes);
    this.state.mixKey(own.publicBytes);
    this.state.mixKey(agree(own, this.peerEphemeral));
    const sealedPayload = this.state.seal(payload(this.state.transcript));
    const [receive, send] = this.state.split();
    return { ephemeral: own.publicBytes, sealedPayload, keys: { send, receive } };
  }
}
