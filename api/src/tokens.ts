/**
 * Media tokens: what a client shows a media node to push or pull. JWT (RFC 7519) signed with EdDSA (RFC 8037) by control;
 * nodes hold the public keys from their snapshot.
 */
import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import { identifier } from './identifier.ts';
import { IpAddress, StreamPattern, UserId, matchesStreamPattern } from './streams.ts';

export const TOKEN_ISSUER = 'millrace';
export const TOKEN_AUDIENCE = 'millrace-media';
export const TOKEN_ALGORITHM = 'EdDSA';

export const TokenAction = z.enum(['push', 'pull']);
export type TokenAction = z.infer<typeof TokenAction>;

/** `exp` and `iat` in seconds since the Unix epoch, as RFC 7519 has them. `stream` may be a pattern. */
export const MediaTokenClaims = z.object({
  iss: z.literal(TOKEN_ISSUER),
  aud: z.literal(TOKEN_AUDIENCE),
  sub: UserId,
  act: TokenAction,
  stream: StreamPattern,
  /** Plain RTP may come from and go to this address too; else only the client's own. */
  rtpTo: IpAddress.optional(),
  exp: z.number().int().positive(),
  iat: z.number().int().nonnegative(),
  jti: identifier(64),
});
export type MediaTokenClaims = z.infer<typeof MediaTokenClaims>;

/** An Ed25519 public key as a JWK (RFC 8037 section 2). Never carries `d`. */
export const PublicJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1).max(64),
  kid: identifier(64),
  alg: z.literal(TOKEN_ALGORITHM).optional(),
  use: z.literal('sig').optional(),
});
export type PublicJwk = z.infer<typeof PublicJwk>;

export type TokenRefusal =
  'malformed' | 'unknown-key' | 'bad-signature' | 'expired' | 'wrong-claims' | 'wrong-action' | 'wrong-stream';

export type TokenVerdict = { ok: true; claims: MediaTokenClaims } | { ok: false; refusal: TokenRefusal; detail: string };

/**
 * Checks signature, times, issuer, audience, action and stream. `nowMs`: ms since the Unix epoch.
 * Never throws; a refusal's detail holds nothing of the token and may be shown to the client.
 */
export async function verifyMediaToken(
  token: string,
  keys: readonly PublicJwk[],
  wanted: { act: TokenAction; stream: string; nowMs: number },
): Promise<TokenVerdict> {
  if (token.length > 4096) return { ok: false, refusal: 'malformed', detail: 'the token is longer than 4096 characters' };
  const keySet: JSONWebKeySet = { keys: keys.map((key) => ({ ...key })) };
  let payload: unknown;
  try {
    const verified = await jwtVerify(token, createLocalJWKSet(keySet), {
      algorithms: [TOKEN_ALGORITHM],
      issuer: TOKEN_ISSUER,
      audience: TOKEN_AUDIENCE,
      currentDate: new Date(wanted.nowMs),
      clockTolerance: 5,
      requiredClaims: ['exp', 'sub'],
    });
    payload = verified.payload;
  } catch (error) {
    return refusalOf(error);
  }
  const claims = MediaTokenClaims.safeParse(payload);
  if (!claims.success) {
    const fields = claims.error.issues.map((issue) => issue.path.join('.')).join(', ');
    return { ok: false, refusal: 'wrong-claims', detail: `these claims are missing or wrong: ${fields}` };
  }
  return authorize(claims.data, wanted);
}

/** Whether valid claims allow this action on this stream. */
export function authorize(claims: MediaTokenClaims, wanted: { act: TokenAction; stream: string }): TokenVerdict {
  if (claims.act !== wanted.act)
    return { ok: false, refusal: 'wrong-action', detail: `the token is for ${claims.act}, not for ${wanted.act}` };
  if (!matchesStreamPattern(claims.stream, wanted.stream)) {
    return { ok: false, refusal: 'wrong-stream', detail: `the token is for ${claims.stream}, not for ${wanted.stream}` };
  }
  return { ok: true, claims };
}

function refusalOf(error: unknown): TokenVerdict {
  if (error instanceof errors.JWTExpired) return { ok: false, refusal: 'expired', detail: 'the token has expired' };
  if (error instanceof errors.JWKSNoMatchingKey)
    return { ok: false, refusal: 'unknown-key', detail: 'no known key has signed the token' };
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return { ok: false, refusal: 'bad-signature', detail: 'the signature does not fit' };
  if (error instanceof errors.JWTClaimValidationFailed)
    return { ok: false, refusal: 'wrong-claims', detail: claimDetail(error.claim, error.reason) };
  if (error instanceof errors.JOSEAlgNotAllowed)
    return { ok: false, refusal: 'malformed', detail: `the token must be signed with ${TOKEN_ALGORITHM}` };
  return { ok: false, refusal: 'malformed', detail: 'not a JWT that this service understands' };
}

function claimDetail(claim: string, reason: string): string {
  if (reason === 'missing') return `claim ${claim} is missing`;
  const wanted: Record<string, string> = {
    iss: `it must be ${TOKEN_ISSUER}`,
    aud: `it must be ${TOKEN_AUDIENCE}`,
    nbf: 'the token is not valid yet',
  };
  return `claim ${claim}: ${wanted[claim] ?? 'of the wrong type'}`;
}
