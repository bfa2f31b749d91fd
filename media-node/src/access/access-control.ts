import type { IncomingMessage } from 'node:http';
import { verifyMediaToken, type PublicJwk, type StreamPolicy, type TokenAction } from '@millrace/api';
import { bearerProblem, bearerToken, Problem, type Clock } from '@millrace/service';

/**
 * The caller of a request: the holder of a valid token for this action on this stream, or an anonymous client. `rtpTo` is an address to which plain RTP may be
 * sent besides the client's own. `refusal` says why the tokens of an anonymous caller were not accepted.
 */
export type Caller =
  { kind: 'token'; user: string; token: string; rtpTo?: string | undefined } | { kind: 'anonymous'; refusal?: Problem };

/** The tokens of a request, in the order in which they are tried. `fault`: its credentials are not a bearer token. */
export interface ShownTokens {
  tokens: readonly string[];
  fault?: Problem;
}

export class AccessControl {
  readonly #keys: () => readonly PublicJwk[];
  readonly #clock: Clock;

  /** @param keys control's public keys, from the current snapshot */
  constructor(keys: () => readonly PublicJwk[], clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  /**
   * Accepts the first valid token and ignores the others. Without one the caller is anonymous, and the stream's policy decides whether that suffices
   * (`requirePermission`): an invalid token never excludes a client from a public stream.
   */
  async identify({ tokens, fault }: ShownTokens, act: TokenAction, stream: string): Promise<Caller> {
    let refusal: Problem | undefined;
    for (const token of tokens) {
      const verdict = await this.#judge(token, act, stream);
      if (!(verdict instanceof Problem)) return verdict;
      refusal ??= verdict;
    }
    refusal ??= fault;
    return refusal ? { kind: 'anonymous', refusal } : { kind: 'anonymous' };
  }

  /** @throws Problem 401 or 403 when the policy wants a token and the caller showed none that counts */
  requirePermission(caller: Caller, act: TokenAction, policy: StreamPolicy): void {
    const access = act === 'push' ? policy.access.publish : policy.access.play;
    if (caller.kind === 'token' || access === 'Public') return;
    throw refusalOf(caller, act);
  }

  async #judge(token: string, act: TokenAction, stream: string): Promise<Caller | Problem> {
    const keys = this.#keys();
    if (keys.length === 0)
      return new Problem(503, 'No token keys yet', {
        detail: 'this node has not heard from control; try again',
        headers: { 'retry-after': '2' },
      });
    const verdict = await verifyMediaToken(token, keys, { act, stream, nowMs: this.#clock.wall() });
    if (verdict.ok) return { kind: 'token', user: verdict.claims.sub, token, rtpTo: verdict.claims.rtpTo };
    const forbidden = verdict.refusal === 'wrong-action' || verdict.refusal === 'wrong-stream';
    return bearerProblem(verdict.detail, forbidden ? 'insufficient_scope' : 'invalid_token');
  }
}

/** The refusal of a caller without a valid token where the policy requires one. */
export function refusalOf(caller: Caller, act: TokenAction): Problem {
  return (caller.kind === 'anonymous' ? caller.refusal : undefined) ?? unauthorized(act);
}

function unauthorized(act: TokenAction): Problem {
  return bearerProblem(
    `a token for ${act} is needed: "Authorization: Bearer <token>" or ?access_token=<token>; apps get one from control's POST /v1/${act}`,
  );
}

/** How many tokens in the query of a request are tried. */
const MAX_QUERY_TOKENS = 4;

/** The tokens of a request: in its body, its Authorization header, its query (RFC 6750 section 2). */
export function tokensOf(req: IncomingMessage, inBody?: string): ShownTokens {
  const header = req.headers.authorization;
  const inHeader = bearerToken(header);
  const inQuery = new URL(req.url ?? '/', 'http://node').searchParams.getAll('access_token').slice(0, MAX_QUERY_TOKENS);
  const tokens = [inBody, inHeader, ...inQuery].filter((token) => token !== undefined && token !== '') as string[];
  if (header === undefined || inHeader !== undefined) return { tokens };
  return { tokens, fault: bearerProblem('the Authorization header must be "Bearer <token>"', 'invalid_request') };
}
