import { Problem } from '@millrace/service';
import type { Request, Response } from 'express';
import { acceptPullAnswer, restartIce, type Session } from '../sessions/index.ts';
import { parseFragment } from '../sdp/index.ts';
import { findSession, sdpProblem, type IceServer, type SignalingContext } from './context.ts';

export const SDP = 'application/sdp';
export const FRAGMENT = 'application/trickle-ice-sdpfrag';

/** The offer in a request's body. @throws Problem 400, 406, 415 */
export function offerOf(req: Request): string {
  if (!req.is(SDP))
    throw new Problem(415, 'Unsupported Media Type', {
      detail: `send the offer with "Content-Type: ${SDP}"`,
      headers: { 'accept-post': SDP },
    });
  if (req.headers.accept !== undefined && !req.accepts(SDP))
    throw new Problem(406, 'Not Acceptable', { detail: `the answer is ${SDP}; accept it` });
  const body: unknown = req.body;
  if (typeof body !== 'string' || body === '') throw new Problem(400, 'No offer', { detail: 'the body must be an SDP offer' });
  return body;
}

/** 201 with the answer (RFC 9725 section 4.2). */
export function sendCreated(
  res: Response,
  session: Session,
  path: string,
  sdp: string,
  iceServers: readonly IceServer[],
  links: readonly string[] = [],
): void {
  setSessionHeaders(res, session, path, iceServers, links);
  res.status(201).type(SDP).send(sdp);
}

export function setSessionHeaders(
  res: Response,
  session: Session,
  path: string,
  iceServers: readonly IceServer[],
  links: readonly string[] = [],
): void {
  const all = [...iceServers.flatMap(iceServerLinks), ...links];
  res.set({
    location: `${path}/${session.id}`,
    etag: session.etag,
    'accept-patch': FRAGMENT,
    ...(all.length > 0 ? { link: all.join(', ') } : {}),
  });
}

function iceServerLinks({ urls, username, credential }: IceServer): string[] {
  const login =
    username === undefined
      ? ''
      : `; username="${quote(username)}"; credential="${quote(credential ?? '')}"; credential-type="password"`;
  return urls.map((url) => `<${url}>; rel="ice-server"${login}`);
}

function quote(text: string): string {
  return text.replace(/["\\]/g, '\\$&');
}

/** @throws Problem 404 */
export function sessionOf(context: SignalingContext, id: unknown, kind: 'push' | 'pull'): Session {
  const session = findSession(context, id);
  if (!session || session.kind !== kind)
    throw new Problem(404, 'No such session', { detail: 'it has ended or never existed; open a new one' });
  return session;
}

/** Trickle ICE, ICE restart (RFC 9725 section 4.3), and the answer to an offer of ours. */
export async function patchSession(context: SignalingContext, session: Session, req: Request, res: Response): Promise<void> {
  const body: unknown = req.body;
  const text = typeof body === 'string' ? body : '';
  if (req.is(SDP) && session.media?.kind === 'offered') {
    await acceptPullAnswer(session, text).catch((error: unknown) => Promise.reject(sdpProblem(error) as Error));
    res.status(204).set('etag', session.etag).end();
    return;
  }
  if (!req.is(FRAGMENT))
    throw new Problem(415, 'Unsupported Media Type', {
      detail: `send "Content-Type: ${FRAGMENT}"`,
      headers: { 'accept-patch': FRAGMENT },
    });
  const ifMatch = req.headers['if-match'];
  if (ifMatch === undefined)
    throw new Problem(428, 'Precondition Required', { detail: `send If-Match with the session's ETag, or "*" to restart ICE` });
  const fragment = readFragment(text);
  const sameGeneration = fragment.usernameFragment === session.remoteUfrag;
  if (ifMatch !== '*' && (!matches(ifMatch, session.etag) || !sameGeneration)) {
    throw new Problem(412, 'Precondition Failed', {
      detail: 'the fragment belongs to another ICE generation; restart ICE with "If-Match: *"',
    });
  }
  if (sameGeneration) {
    // An ICE-lite agent answers checks from wherever they come; the client's candidates need no more than to be well-formed (RFC 8445 section 2.5).
    res.status(204).set('etag', session.etag).end();
    return;
  }
  const answer = await restartIce(session, fragment.usernameFragment, context.addresses);
  res.status(200).set('etag', session.etag).type(FRAGMENT).send(answer);
}

function readFragment(text: string): ReturnType<typeof parseFragment> {
  try {
    return parseFragment(text);
  } catch (error) {
    throw sdpProblem(error);
  }
}

function matches(ifMatch: string, etag: string): boolean {
  return ifMatch
    .split(',')
    .map((tag) => tag.trim())
    .includes(etag);
}
