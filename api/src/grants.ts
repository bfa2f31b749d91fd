/**
 * Grants: control's word that a node is the origin of a stream in an epoch. Control signs one for each name that it gives out; nodes show it when they announce
 * the name again, and to each other on trunks, where it also says at which address the origin is. A JWT (RFC 7519) under the keys of media tokens; its audience keeps the two apart.
 */
import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { TrunkAddress } from './host.ts';
import { TOKEN_ALGORITHM, TOKEN_ISSUER, type PublicJwk } from './tokens.ts';

export const GRANT_AUDIENCE = 'millrace-nodes';

/** With MAX_HOSTS names of full length. */
export const MAX_GRANT_CHARACTERS = 4096;

export const Grant = z
  .string()
  .max(MAX_GRANT_CHARACTERS)
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, 'must be a JWT');

/** A name as it was given out. */
export interface GrantedName {
  stream: string;
  epoch: number;
  /** Name of the origin. */
  node: string;
  session: string;
  /** The origin's trunk endpoint. */
  at: TrunkAddress;
}

type ClaimedName = Pick<GrantedName, 'stream' | 'epoch'> & { node?: string | undefined; session?: string | undefined };

interface GrantClaims {
  stream: string;
  epoch: number;
  node: string;
  at: TrunkAddress;
  /** Its end, s since the Unix epoch. */
  exp?: number;
  /** Digest of the session: its id is a secret between a client and its node. */
  sid: string;
}

function grantClaims({ stream, epoch, node, at, session }: GrantedName): GrantClaims {
  const { host, otherHosts, port } = at;
  return { stream, epoch, node, at: { host, ...(otherHosts?.length ? { otherHosts } : {}), port }, sid: digestOf(session) };
}

function digestOf(session: string): string {
  return createHash('sha256').update(session).digest('base64url').slice(0, 22);
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** How long a grant counts at most; control remembers for longer which names were given back. */
export const MAX_GRANT_LIFE_MS = 6 * 24 * 3_600_000;
/** Grants end with such a period, so that every replica of control makes the same one. */
const GRANT_PERIOD_MS = MAX_GRANT_LIFE_MS / 2;

/** When a grant ends that is signed now: in one to two periods, ms since the Unix epoch. */
export const grantEndMs = (nowMs: number): number => Math.floor(nowMs / GRANT_PERIOD_MS + 2) * GRANT_PERIOD_MS;

/**
 * Signs a grant (RFC 7515 section 5.1). Ed25519 is deterministic: every replica of control makes the same one.
 * @param endsMs `grantEndMs`. Control takes no announcement with a later grant; nodes among each other do not look at it (docs/decisions/0040)
 */
export function signGrant(name: GrantedName, endsMs: number, { kid, key }: { kid: string; key: KeyObject }): string {
  const signed = `${encode({ alg: TOKEN_ALGORITHM, kid, typ: 'JWT' })}.${encode({ iss: TOKEN_ISSUER, aud: GRANT_AUDIENCE, exp: endsMs / 1000, ...grantClaims(name) })}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
}

/** The key that has signed a grant; undefined when it is none. */
export function grantKeyId(grant: string): string | undefined {
  return decode(grant.split('.')[0])?.['kid'] as string | undefined;
}

/** Grants that are known to be good, by verifier. */
const MAX_KNOWN_GRANTS = 50_000;

/** Checks grants against a set of keys. A grant that was good before costs a look-up. */
export class GrantVerifier {
  readonly #keys: ReadonlyMap<string, KeyObject>;
  readonly #known = new Map<string, GrantClaims>();

  constructor(keys: readonly PublicJwk[]) {
    this.#keys = new Map(keys.map((key) => [key.kid, createPublicKey({ key: { ...key }, format: 'jwk' })]));
  }

  /** Whether control granted this name. What is not given is not compared. Never throws. */
  verify(grant: string, { stream, epoch, node, session }: ClaimedName): boolean {
    const claims = this.#claimsOf(grant);
    if (claims?.stream !== stream || claims.epoch !== epoch) return false;
    if (node !== undefined && claims.node !== node) return false;
    return session === undefined || claims.sid === digestOf(session);
  }

  /** The node that was granted the name, and its trunk endpoint; undefined when control has not signed this. Never throws. */
  originOf(grant: string): { node: string; at: TrunkAddress } | undefined {
    return this.#claimsOf(grant);
  }

  /** When a grant ends, ms since the Unix epoch; -Infinity for one that has no end, or that control has not signed. Never throws. */
  endOfMs(grant: string): number {
    const exp = this.#claimsOf(grant)?.exp;
    return typeof exp === 'number' ? exp * 1000 : -Infinity;
  }

  #claimsOf(grant: string): GrantClaims | undefined {
    const known = this.#known.get(grant);
    if (known) return known;
    const [header, payload, signature, ...rest] = grant.split('.');
    const { alg, kid } = decode(header) ?? {};
    const key = alg === TOKEN_ALGORITHM && typeof kid === 'string' ? this.#keys.get(kid) : undefined;
    if (!key || !signature || rest.length > 0) return undefined;
    if (!verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) return undefined;
    const claims = decode(payload);
    if (claims?.['iss'] !== TOKEN_ISSUER || claims['aud'] !== GRANT_AUDIENCE) return undefined;
    if (this.#known.size >= MAX_KNOWN_GRANTS) this.#known.clear();
    this.#known.set(grant, claims as unknown as GrantClaims);
    return claims as unknown as GrantClaims;
  }
}

function decode(part: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
