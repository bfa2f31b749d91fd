import { createHash } from 'node:crypto';
import { AGENT_TOKEN_AUDIENCE } from '@millrace/api';
import type { KubeClient, TokenReview } from '@millrace/kube';
import { tokenReviews } from '@millrace/kube';
import type { Clock } from '@millrace/service';

interface Claims {
  aud: string[];
  exp: number;
  namespace: string;
  podUid: string;
}

const MAX_AUDIENCES = 8;

/**
 * Claims of projected tokens (Kubernetes, "Managing Service Accounts": bound service account tokens). Read by hand, since they come from strangers: nothing
 * is looked at that is not needed.
 */
function claimsIn(payload: unknown): Claims | undefined {
  const { aud, exp, 'kubernetes.io': of } = objectOf(payload);
  const { namespace, pod } = objectOf(of);
  const { uid } = objectOf(pod);
  if (typeof exp !== 'number' || typeof namespace !== 'string' || typeof uid !== 'string') return undefined;
  const audiences: unknown[] = Array.isArray(aud) ? aud.slice(0, MAX_AUDIENCES) : [aud];
  const isSane = uid.length > 0 && uid.length <= 128 && audiences.every((one) => typeof one === 'string');
  return isSane ? { aud: audiences, exp, namespace, podUid: uid } : undefined;
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

export type TokenVerdict =
  | { verdict: 'pod'; podUid: string }
  | { verdict: 'refused'; detail: string }
  /** The API server could not be reached. */
  | { verdict: 'unknown'; detail: string };

/** Has the API server review a token. Rejects when it cannot be reached. */
export type ReviewToken = (token: string) => Promise<TokenReview>;

/** How long a verdict is cached, ms. Kubelets rotate tokens more slowly, and the connection of a deleted pod ends with its MediaNode. */
const FRESH_MS = 60_000;
/** How long a cached verdict lasts while the API server is unreachable, ms: nodes may still reconnect to another replica. */
const STALE_MS = 600_000;
const REFUSED_MS = 5000;
const MAX_CACHED = 10_000;
/** How far the clocks of this machine and of the API server may be apart. */
const MAX_CLOCK_ERROR_MS = 300_000;
const POD_UID = 'authentication.kubernetes.io/pod-uid';

/** Finds the pod of a projected service-account token, by a TokenReview with control's own audience. Stores hashes, never tokens. */
export class TokenReviews {
  readonly #review: ReviewToken;
  readonly #clock: Clock;
  readonly #namespace: string;
  readonly #cache = new Map<string, { verdict: TokenVerdict; at: number }>();
  readonly #running = new Map<string, Promise<TokenVerdict>>();

  constructor(options: { review: ReviewToken; clock: Clock; namespace: string }) {
    this.#review = options.review;
    this.#clock = options.clock;
    this.#namespace = options.namespace;
  }

  /**
   * The pod that a token says it is of, read without a proof, or why no review could accept it. A stranger's token that fails here costs no
   * request to the Kubernetes API.
   */
  claimsOf(token: string): { podUid: string } | string {
    const claims = claimsIn(payloadOf(token));
    if (!claims) return 'send a service-account token that is projected into the pod';
    const { aud, exp, namespace, podUid } = claims;
    if (!aud.includes(AGENT_TOKEN_AUDIENCE)) return `the token is not for ${AGENT_TOKEN_AUDIENCE}`;
    if (namespace !== this.#namespace) return `the token's account is not in namespace ${this.#namespace}`;
    if (exp * 1000 < this.#clock.wall() - MAX_CLOCK_ERROR_MS) return 'the token has expired';
    return { podUid };
  }

  /** A node reconnects far more often than its token changes, so verdicts are cached, bounded in number and time. */
  async check(token: string): Promise<TokenVerdict> {
    const hash = createHash('sha256').update(token).digest('base64url');
    const cached = this.#cache.get(hash);
    const ageMs = cached ? this.#clock.now() - cached.at : Infinity;
    if (cached && ageMs < (cached.verdict.verdict === 'pod' ? FRESH_MS : REFUSED_MS)) return cached.verdict;
    let running = this.#running.get(hash);
    if (!running) {
      running = this.#ask(token).finally(() => this.#running.delete(hash));
      this.#running.set(hash, running);
    }
    const verdict = await running;
    if (verdict.verdict !== 'unknown') this.#remember(hash, verdict);
    else if (cached?.verdict.verdict === 'pod' && ageMs < STALE_MS) return cached.verdict;
    return verdict;
  }

  async #ask(token: string): Promise<TokenVerdict> {
    let review: TokenReview;
    try {
      review = await this.#review(token);
    } catch (error) {
      return { verdict: 'unknown', detail: `the Kubernetes API did not review the token: ${String((error as Error).message)}` };
    }
    const { authenticated, user, audiences, error } = review.status ?? {};
    if (!authenticated) return { verdict: 'refused', detail: error ?? 'the token is not valid' };
    // A server without support for audiences omits the list and has not checked them.
    if (!audiences?.includes(AGENT_TOKEN_AUDIENCE))
      return { verdict: 'refused', detail: `the token is not for ${AGENT_TOKEN_AUDIENCE}` };
    const prefix = `system:serviceaccount:${this.#namespace}:`;
    if (!user?.username?.startsWith(prefix))
      return { verdict: 'refused', detail: `the token's account is not in namespace ${this.#namespace}` };
    const podUid = user.extra?.[POD_UID]?.[0];
    if (!podUid) return { verdict: 'refused', detail: 'the token is not bound to a pod: use a projected service-account token' };
    return { verdict: 'pod', podUid };
  }

  #remember(hash: string, verdict: TokenVerdict): void {
    this.#cache.delete(hash);
    this.#cache.set(hash, { verdict, at: this.#clock.now() });
    if (this.#cache.size > MAX_CACHED) {
      const oldest = this.#cache.keys().next();
      if (!oldest.done) this.#cache.delete(oldest.value);
    }
  }
}

function payloadOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  } catch {
    return undefined;
  }
}

export function reviewWith(client: KubeClient): ReviewToken {
  return (token) =>
    client.create(tokenReviews, { metadata: {}, spec: { token, audiences: [AGENT_TOKEN_AUDIENCE] } }, { timeoutMs: 5000 });
}
