import { requireNoDowngrade } from './downgrade.ts';
import type { Candidate } from './placement.ts';
import { SignalingError } from './signaling-error.ts';

/** A session's resource on a node (RFC 9725 section 4.2): DELETE ends it; its events are a sub-resource. */
export interface SessionResource {
  readonly url: string;
  /** The node that has the session, if it says so; after a redirect it is not the one that was asked. */
  readonly node?: string;
  readonly headers: Record<string, string>;
}

const REQUEST_TIMEOUT_MS = 8_000;

/** Posts the offer. */
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
  const response = await post(candidate.url, init);
  if (response.status !== 201) throw await errorOf(response);
  const location = response.headers.get('location');
  if (!location) throw new SignalingError(502, `${candidate.node} answered without a Location`);
  const resource = { url: resourceUrl(location, response.url), headers: authorization };
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

/** Asks the node for an offer of the stream. The token goes in a header and not in the body, which a redirect would take anywhere. */
export async function requestOffer(candidate: Candidate, signal: AbortSignal): Promise<NodeOffer> {
  const { signaling = '', stream, token } = candidate;
  const response = await postJson(`${signaling}/signaling/pull`, { stream }, signal, token);
  const { session, sdp, resource } = (await response.json()) as { session: string; sdp: string; resource: string };
  const end = session.indexOf('~');
  return {
    session,
    sdp,
    // The unguessable session id is the credential.
    resource: { url: resourceUrl(resource, response.url), headers: {}, ...(end > 0 ? { node: session.slice(0, end) } : {}) },
    answerUrl: new URL('sendanswer', response.url).href,
  };
}

export async function sendAnswer(url: string, session: string, sdp: string, signal: AbortSignal): Promise<void> {
  await postJson(url, { session, sdp }, signal);
}

async function postJson(url: string, body: object, signal: AbortSignal, token?: string): Promise<Response> {
  const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), 'content-type': 'application/json' };
  const response = await post(url, { method: 'POST', headers, body: JSON.stringify(body), signal });
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** The session's resource, where the node says that it is. */
function resourceUrl(location: string, from: string): string {
  const { href } = new URL(location, from);
  requireNoDowngrade(from, href, 'the session');
  return href;
}

/**
 * fetch follows the redirect (307) of a full or draining node, but drops Authorization where the origin changes (WHATWG Fetch, "HTTP-redirect fetch"), so
 * there the request is sent once more with the token. It shows a redirect only afterwards: what was opened in clear is left, and ends by itself.
 */
async function post(url: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
  const response = await request(url, init);
  if (!response.redirected) return response;
  requireNoDowngrade(url, response.url, 'a redirect');
  return response.status === 401 ? request(response.url, init) : response;
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
