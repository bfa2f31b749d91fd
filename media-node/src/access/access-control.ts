import type { IncomingMessage } from 'node:http';
import { verifyMediaToken, type PublicJwk, type StreamPolicy, type TokenAction } from '@millrace/api';
import { bearerProblem, Problem, type Clock } from '@millrace/service';

/** Who asks: someone with a valid token for this action on this stream, or anyone. `rtpTo`: where its plain RTP may be, beside its own address. */
export type Caller = { kind: 'token'; user: string; rtpTo?: string | undefined } | { kind: 'anonymous' };

export class AccessControl {
  readonly #keys: () => readonly PublicJwk[];
  readonly #clock: Clock;

  /** @param keys control's public keys, from the current snapshot */
  constructor(keys: () => readonly PublicJwk[], clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  /**
   * Reads a token; without one the caller is anonymous, and the stream's policy decides (`requirePermission`).
   * @throws Problem 401 or 403 when there is a token and it does not allow this
   */
  async identify(token: string | undefined, act: TokenAction, stream: string): Promise<Caller> {
    if (token === undefined) return { kind: 'anonymous' };
    const keys = this.#keys();
    if (keys.length === 0)
      throw new Problem(503, 'No token keys yet', {
        detail: 'this node has not heard from control; try again',
        headers: { 'retry-after': '2' },
      });
    const verdict = await verifyMediaToken(token, keys, { act, stream, nowMs: this.#clock.wall() });
    if (verdict.ok) return { kind: 'token', user: verdict.claims.sub, rtpTo: verdict.claims.rtpTo };
    const forbidden = verdict.refusal === 'wrong-action' || verdict.refusal === 'wrong-stream';
    throw bearerProblem(verdict.detail, forbidden ? 'insufficient_scope' : 'invalid_token');
  }

  /** @throws Problem 401 when the policy wants a token and the caller showed none */
  requirePermission(caller: Caller, act: TokenAction, policy: StreamPolicy): void {
    const access = act === 'push' ? policy.access.publish : policy.access.play;
    if (caller.kind === 'token' || access === 'Public') return;
    throw unauthorized(act);
  }
}

export function unauthorized(act: TokenAction): Problem {
  return bearerProblem(
    `a token for ${act} is needed: "Authorization: Bearer <token>" or ?access_token=<token>; apps get one from control's POST /v1/${act}`,
  );
}

/** The token of a request: Authorization header, else the access_token query parameter (RFC 6750 sections 2.1 and 2.3). */
export function bearerOf(req: IncomingMessage): string | undefined {
  const header = req.headers.authorization;
  if (header !== undefined) {
    const match = /^Bearer +(\S+)$/i.exec(header);
    if (!match) throw bearerProblem('the Authorization header must be "Bearer <token>"', 'invalid_request');
    return match[1];
  }
  const query = new URL(req.url ?? '/', 'http://node').searchParams.get('access_token');
  return query === null || query === '' ? undefined : query;
}
