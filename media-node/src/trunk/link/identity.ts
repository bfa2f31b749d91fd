import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { NODE_CERTIFICATE_BYTES, type NodeCertificateVerifier } from '@millrace/api';
import { encodeHello, type SignedHello, type UnsignedHello } from './hello.ts';

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');
const CONTEXT = Buffer.from('millrace trunk hello\0');

/** Bytes of the seed of an Ed25519 private key (RFC 8032, section 5.1.5). */
export const SEED_BYTES = 32;

/**
 * The key of this node on trunks. A hello carries the public half, control's certificate for it, and a signature over the handshake so far and the hello
 * itself: whoever opens the handshake knows from the first message on which node made it. The mesh key alone proves no more than membership.
 */
export class Identity {
  /** Raw Ed25519 public key. */
  readonly publicKey: Buffer;
  private readonly privateKey: KeyObject;
  private certificate: Buffer = Buffer.alloc(NODE_CERTIFICATE_BYTES);
  private authorities: NodeCertificateVerifier | undefined;

  /** @throws RangeError when the seed has not SEED_BYTES */
  constructor(seed: Buffer) {
    if (seed.length !== SEED_BYTES) throw new RangeError(`node key: ${seed.length} bytes, must be ${SEED_BYTES}`);
    this.privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' });
    this.publicKey = createPublicKey(this.privateKey).export({ format: 'der', type: 'spki' }).subarray(SPKI_ED25519.length);
  }

  /**
   * @param certificate control's, for `publicKey`; undefined: control has not given one yet
   * @param authorities undefined: there is no control, and peers need no certificate
   */
  certify(certificate: Buffer | undefined, authorities: NodeCertificateVerifier | undefined): void {
    this.certificate = certificate ?? Buffer.alloc(NODE_CERTIFICATE_BYTES);
    this.authorities = authorities;
  }

  /** @param transcript Noise's handshake hash before the payload */
  hello(fields: UnsignedHello, transcript: Buffer): Buffer {
    const { publicKey: nodeKey, certificate } = this;
    return encodeHello({ ...fields, nodeKey, certificate }, (signed) => sign(null, covered(transcript, signed), this.privateKey));
  }

  /** Whether the node that the hello names has made it for this handshake. Never throws. */
  trusts(hello: SignedHello, transcript: Buffer): boolean {
    const { node, nodeKey: key, certificate, signed, signature } = hello;
    if (this.authorities && !this.authorities.verify(certificate, { node, key })) return false;
    try {
      const publicKey = createPublicKey({ key: Buffer.concat([SPKI_ED25519, key]), format: 'der', type: 'spki' });
      return verify(null, covered(transcript, signed), publicKey, signature);
    } catch {
      return false;
    }
  }
}

function covered(transcript: Buffer, signed: Buffer): Buffer {
  return Buffer.concat([CONTEXT, transcript, signed]);
}
