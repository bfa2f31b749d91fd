import type { Candidate } from './placement.ts';

/** A node refused a request; the message is the node's own (RFC 9457 problem details if it sent them). */
export class SignalingError extends Error {
  readonly status: number;
  /** Seconds after which to try again, from Retry-After. */
  readonly retryAfterS: number | undefined;

  constructor(status: number, message: string, retryAfterS?: number) {
    super(message);
    this.name = 'SignalingError';
    this.status = status;
    this.retryAfterS = retryAfterS;
  }

  /** The request itself is refused, so neither another node nor a retry can help. */
  get isFinal(): boolean {
    return [400, 401, 403, 405, 406, 409, 415, 422].includes(this.status);
  }
}

/** A session's resource on a node (RFC 9725 section 4.2): DELETE ends it; its events are a sub-resource. */
export interface SessionResource {
  readonly url: string;
  /** The node that has the session, if it says so; after a redirect it is not the one that was asked. */
  readonly node?: string;
  readonly headers: Record<string, string>;
}

const REQUEST_TIMEOUT_MS = 8_000;

/**
 * Posts the offer. fetch follows the redirect (307) of a full or draining node, but drops Authorization where the origin changes
 * (WHATWG Fetch, "HTTP-redirect fetch"), so there the offer is posted once more with the token.
 */
export async function postOffer(
  candidate: Candidate,
  offer: string,
  signal: AbortSignal,
): Promise<{ resource: SessionResource; answer: string }> {
  const authorization: Record<string, string> = candidate.token ? { authorization: `Bearer ${candidate.token}` } : {};
  const init = {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/sdp', accept: 'application/sdp' },
    body: offer,
    signal,
  };
  let response = await request(candidate.url, init);
  if (response.redirected && response.status === 401) response = await request(response.url, init);
  if (response.status !== 201) throw await errorOf(response);
  const location = response.headers.get('location');
  if (!location) throw new SignalingError(502, `${candidate.node} answered without a Location`);
  const resource = { url: new URL(location, response.url).href, headers: authorization };
  return { resource, answer: await response.text() };
}

/** What `/signaling/pull` answers. */
export interface NodeOffer {
  readonly session: string;
  readonly sdp: string;
  readonly resource: SessionResource;
  /** The URL for the answer: of the node that offered, even when the request was redirected. */
  readonly answerUrl: string;
}

/** Asks the node for an offer of the stream. The token goes in the body, which a redirect (307) keeps. */
export async function requestOffer(candidate: Candidate, signal: AbortSignal): Promise<NodeOffer> {
  const { signaling = '', stream, token } = candidate;
  const response = await postJson(`${signaling}/signaling/pull`, { stream, ...(token ? { token } : {}) }, signal);
  const { session, sdp, resource } = (await response.json()) as { session: string; sdp: string; resource: string };
  const end = session.indexOf('~');
  return {
    session,
    sdp,
    // The unguessable session id is the credential.
    resource: { url: new URL(resource, response.url).href, headers: {}, ...(end > 0 ? { node: session.slice(0, end) } : {}) },
    answerUrl: new URL('sendanswer', response.url).href,
  };
}

export async function sendAnswer(url: string, session: string, sdp: string, signal: AbortSignal): Promise<void> {
  await postJson(url, { session, sdp }, signal);
}

async function postJson(url: string, body: object, signal: AbortSignal): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  const response = await request(url, { method: 'POST', headers, body: JSON.stringify(body), signal });
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** Ends the session on the node. Never throws, and waits at most REQUEST_TIMEOUT_MS: a node that is gone has ended the session anyway. */
export async function deleteSession({ url, headers }: SessionResource): Promise<void> {
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  await fetch(url, { method: 'DELETE', headers, keepalive: true, signal }).catch(() => undefined);
}

async function request(url: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
  const signal = AbortSignal.any([init.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
  try {
    return await fetch(url, { ...init, signal });
  } catch (error) {
    init.signal.throwIfAborted();
    throw new SignalingError(0, `${new URL(url).host} did not answer: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function errorOf(response: Response): Promise<SignalingError> {
  const text = await response.text().catch(() => '');
  const retryAfter = Number(response.headers.get('retry-after') ?? NaN);
  return new SignalingError(
    response.status,
    problemText(text) ?? `HTTP ${response.status}`,
    Number.isFinite(retryAfter) ? retryAfter : undefined,
  );
}

function problemText(body: string): string | undefined {
  try {
    const { title, detail } = JSON.parse(body) as { title?: string; detail?: string };
    return [title, detail].filter(Boolean).join(': ') || undefined;
  } catch {
    return undefined;
  }
}
