/**
 * Node certificates: control's word that a trunk key is that of a node. Each node makes an Ed25519 key pair and says the public half in its hello, over a
 * connection that proves which pod it is; control signs the pair of key and name with the key of media tokens. Nodes show certificates to each other when they
 * open a trunk. A certificate has no end: to exclude a node that has left, rotate the mesh key.
 */
import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { PublicJwk } from './tokens.ts';

/** An Ed25519 public key, raw (RFC 8032, section 5.1.5). */
export const NODE_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const KEY_TAG_BYTES = 4;
/** Tag of control's key, signature. */
export const NODE_CERTIFICATE_BYTES = KEY_TAG_BYTES + SIGNATURE_BYTES;

const base64Of = (bytes: number) =>
  z
    .base64()
    .length(4 * Math.ceil(bytes / 3))
    .refine((text) => Buffer.from(text, 'base64').length === bytes, `must be ${bytes} bytes`);

/** Base64. */
export const NodeKey = base64Of(NODE_KEY_BYTES);
/** Base64. */
export const NodeCertificate = base64Of(NODE_CERTIFICATE_BYTES);

/** What a certificate says. */
export interface CertifiedNode {
  node: string;
  /** NODE_KEY_BYTES. */
  key: Buffer;
}

function signedText({ node, key }: CertifiedNode): Buffer {
  return Buffer.concat([Buffer.from('millrace node 1\0'), key, Buffer.from(node)]);
}

function keyTag(kid: string): string {
  return createHash('sha256').update(kid).digest().toString('latin1', 0, KEY_TAG_BYTES);
}

/** NODE_CERTIFICATE_BYTES. Ed25519 is deterministic: every replica of control makes the same one. */
export function signNodeCertificate(certified: CertifiedNode, { kid, key }: { kid: string; key: KeyObject }): Buffer {
  return Buffer.concat([Buffer.from(keyTag(kid), 'latin1'), sign(null, signedText(certified), key)]);
}

/** Certificates that are known to be good, by verifier. */
const MAX_KNOWN_CERTIFICATES = 4096;

/** Checks certificates against control's keys. One that was good before costs a look-up. */
export class NodeCertificateVerifier {
  readonly #keys = new Map<string, KeyObject[]>();
  readonly #known = new Set<string>();

  constructor(keys: readonly PublicJwk[]) {
    for (const jwk of keys) {
      const tag = keyTag(jwk.kid);
      const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
      this.#keys.set(tag, [...(this.#keys.get(tag) ?? []), key]);
    }
  }

  /** Whether control has certified that the key is this node's. Never throws. */
  verify(certificate: Buffer, certified: CertifiedNode): boolean {
    if (certificate.length !== NODE_CERTIFICATE_BYTES) return false;
    const text = signedText(certified);
    const known = Buffer.concat([certificate, text]).toString('latin1');
    if (this.#known.has(known)) return true;
    const keys = this.#keys.get(certificate.toString('latin1', 0, KEY_TAG_BYTES)) ?? [];
    if (!keys.some((key) => verify(null, text, key, certificate.subarray(KEY_TAG_BYTES)))) return false;
    if (this.#known.size >= MAX_KNOWN_CERTIFICATES) this.#known.clear();
    this.#known.add(known);
    return true;
  }
}
