import { randomBytes } from 'node:crypto';

export const CRYPTO_SUITE = 'AEAD_AES_256_GCM';
/** Key and salt (RFC 7714 section 12). */
const KEY_BYTES = 44;

export function newSrtpKey(): string {
  return randomBytes(KEY_BYTES).toString('base64');
}
