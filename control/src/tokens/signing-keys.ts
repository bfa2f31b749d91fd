import { createPrivateKey, randomUUID, type KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  grantEndMs,
  grantKeyId,
  GrantVerifier,
  PublicJwk,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCE,
  TOKEN_ISSUER,
  signGrant,
  signNodeCertificate,
  type GrantedName,
  type TokenAction,
  type TrunkAddress,
} from '@millrace/api';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { z } from 'zod';

const PrivateJwk = PublicJwk.extend({ d: z.string().min(1).max(64) });

/**
 * What the Secret holds under `keys.json`. All keys are accepted, `current` signs. To rotate: add a key, wait until nodes have it
 * (Programmed), make it current, and remove the old one when its last token has expired.
 */
const SigningKeySet = z.object({ current: z.string(), keys: z.array(PrivateJwk).min(1).max(8) });
export type SigningKeySet = z.infer<typeof SigningKeySet>;

export const SIGNING_KEYS_FIELD = 'keys.json';

/** A stream as the directory has it. */
type Publication = Omit<GrantedName, 'at'> & TrunkAddress;

/** The Ed25519 keys that sign media tokens, as last read from their Secret. */
export class SigningKeys {
  #publicKeys: readonly PublicJwk[] = [];
  #signer: { kid: string; key: CryptoKey; forNodes: KeyObject } | undefined;
  readonly #granted = new WeakMap<Publication, { kid: string; endsMs: number; grant: string }>();
  readonly #loaded = Promise.withResolvers<void>();
  #verifier = new GrantVerifier([]);

  /** A new key set with one key, as the Secret's data (base64). */
  static async create(): Promise<Record<string, string>> {
    const { privateKey } = await generateKeyPair(TOKEN_ALGORITHM, { crv: 'Ed25519', extractable: true });
    const { kty, crv, x, d } = await exportJWK(privateKey);
    const kid = randomUUID().slice(0, 8);
    const set = { current: kid, keys: [{ kty, crv, x, d, kid, alg: TOKEN_ALGORITHM, use: 'sig' }] };
    return { [SIGNING_KEYS_FIELD]: Buffer.from(JSON.stringify(set)).toString('base64') };
  }

  /** Takes the Secret's data. Throws and keeps the present keys when it is not a valid key set; the message reveals nothing of the keys. */
  async load(data: Readonly<Record<string, string>>): Promise<void> {
    const set = parseSet(data[SIGNING_KEYS_FIELD]);
    const current = set.keys.find((key) => key.kid === set.current);
    if (!current) throw new Error(`${SIGNING_KEYS_FIELD}: current names "${set.current}", which is none of the keys`);
    const key = (await importJWK(current as JWK, TOKEN_ALGORITHM)) as CryptoKey;
    this.#signer = { kid: current.kid, key, forNodes: createPrivateKey({ key: { ...current }, format: 'jwk' }) };
    this.#publicKeys = set.keys.map(({ d: _, ...publicKey }) => publicKey);
    this.#verifier = new GrantVerifier(this.#publicKeys);
    this.#loaded.resolve();
  }

  get publicKeys(): readonly PublicJwk[] {
    return this.#publicKeys;
  }

  get ready(): boolean {
    return this.#signer !== undefined;
  }

  /** Resolves with the first load. */
  whenReady(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Whether the key that signs now has signed this grant, for an origin at this address, and it ends no sooner than a new one. */
  isCurrent(grant: string, at: TrunkAddress, nowMs: number): boolean {
    if (grantKeyId(grant) !== this.#signer?.kid || this.#verifier.endOfMs(grant) < grantEndMs(nowMs)) return false;
    return isDeepStrictEqual(this.#verifier.originOf(grant)?.at, at);
  }

  /** `nowMs`: since the Unix epoch. Throws before the first load. */
  grant(name: GrantedName, nowMs: number): string {
    if (!this.#signer) throw new Error('no signing key yet');
    return signGrant(name, grantEndMs(nowMs), { kid: this.#signer.kid, key: this.#signer.forNodes });
  }

  /** As `grant`, once for each publication, key and end. @returns undefined before the first load */
  grantOf(publication: Publication, nowMs: number): string | undefined {
    if (!this.#signer) return undefined;
    const { kid } = this.#signer;
    const endsMs = grantEndMs(nowMs);
    const known = this.#granted.get(publication);
    if (known?.kid === kid && known.endsMs === endsMs) return known.grant;
    const grant = this.grant({ ...publication, at: publication }, nowMs);
    this.#granted.set(publication, { kid, endsMs, grant });
    return grant;
  }

  /** Certifies that the public key, base64, is this node's. @returns base64, or undefined before the first load */
  certificateOf(node: string, nodeKey: string): string | undefined {
    if (!this.#signer) return undefined;
    const { kid, forNodes: key } = this.#signer;
    return signNodeCertificate({ node, key: Buffer.from(nodeKey, 'base64') }, { kid, key }).toString('base64');
  }

  /** Whether one of the keys has signed that this name was given out, and whether that still counts. */
  verifyGrant(grant: string, name: Omit<GrantedName, 'at'>, nowMs: number): 'good' | 'ended' | 'wrong' {
    if (!this.#verifier.verify(grant, name)) return 'wrong';
    return this.#verifier.endOfMs(grant) > nowMs ? 'good' : 'ended';
  }

  /** `nowMs`: since the Unix epoch. Throws before the first load. */
  async mint(
    claims: { sub: string; act: TokenAction; stream: string; rtpTo?: string | undefined },
    ttlSeconds: number,
    nowMs: number,
  ): Promise<{ token: string; expiresAtMs: number }> {
    if (!this.#signer) throw new Error('no signing key yet');
    const issuedAt = Math.floor(nowMs / 1000);
    const token = await new SignJWT({ act: claims.act, stream: claims.stream, rtpTo: claims.rtpTo })
      .setProtectedHeader({ alg: TOKEN_ALGORITHM, kid: this.#signer.kid, typ: 'JWT' })
      .setIssuer(TOKEN_ISSUER)
      .setAudience(TOKEN_AUDIENCE)
      .setSubject(claims.sub)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + ttlSeconds)
      .setJti(randomUUID())
      .sign(this.#signer.key);
    return { token, expiresAtMs: (issuedAt + ttlSeconds) * 1000 };
  }
}

function parseSet(encoded: string | undefined): SigningKeySet {
  if (!encoded) throw new Error(`the Secret has no field ${SIGNING_KEYS_FIELD}`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8'));
  } catch {
    throw new Error(`${SIGNING_KEYS_FIELD} is not JSON`);
  }
  const parsed = SigningKeySet.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.code}`).join(', ');
  throw new Error(`${SIGNING_KEYS_FIELD} is not a set of Ed25519 keys (${fields})`);
}
