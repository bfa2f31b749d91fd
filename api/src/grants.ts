/**
 * Grants: control's word that a node is the origin of a stream in an epoch. Control signs one for each name that it gives out; nodes show it when they announce
 * the name again. A JWT (RFC 7519) under the keys of media tokens; its audience keeps the two apart.
 */
import { createHash } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { z } from 'zod';
import { TOKEN_ALGORITHM, TOKEN_ISSUER, type PublicJwk } from './tokens.ts';

export const GRANT_AUDIENCE = 'millrace-nodes';

export const Grant = z
  .string()
  .max(1024)
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, 'must be a JWT');

/** A name as it was given out. */
export interface GrantedName {
  stream: string;
  epoch: number;
  /** Name of the origin. */
  node: string;
  session: string;
}

export interface GrantClaims {
  stream: string;
  epoch: number;
  node: string;
  /** Digest of the session: its id is a secret between a client and its node. */
  sid: string;
}

export function grantClaims({ stream, epoch, node, session }: GrantedName): GrantClaims {
  return { stream, epoch, node, sid: createHash('sha256').update(session).digest('base64url').slice(0, 22) };
}

/** Checks grants against a set of keys, which are imported once. */
export class GrantVerifier {
  readonly #keys: ReturnType<typeof createLocalJWKSet>;

  constructor(keys: readonly PublicJwk[]) {
    this.#keys = createLocalJWKSet({ keys: keys.map((key) => ({ ...key })) });
  }

  /** Whether control granted exactly this name. Never throws. */
  async verify(grant: string, name: GrantedName): Promise<boolean> {
    try {
      const { payload } = await jwtVerify(grant, this.#keys, {
        algorithms: [TOKEN_ALGORITHM],
        issuer: TOKEN_ISSUER,
        audience: GRANT_AUDIENCE,
      });
      return Object.entries(grantClaims(name)).every(([claim, value]) => payload[claim] === value);
    } catch {
      return false;
    }
  }
}
