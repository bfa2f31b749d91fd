import { MAX_SDP_BYTES, type SessionStatus } from '@millrace/api';
import { allowMethods, mediaTypeOf, Problem, relativeReference, textBody, unsupportedType } from '@millrace/service';
import type { Request, Response, Router } from 'express';
import { acceptPullAnswer, restartIce, type Session } from '../sessions/index.ts';
import { parseFragment } from '../sdp/index.ts';
import { findSession, sdpProblem, sessionId, type IceServer, type SignalingContext } from './context.ts';

export const SDP = 'application/sdp';
export const FRAGMENT = 'application/trickle-ice-sdpfrag';

/** A link of a session: a path of this node, its relation, and further parameters as they stand in the header (RFC 8288). */
export interface SessionLink {
  path: string;
  rel: string;
  parameters?: string;
}

/** The offer in a request's body, read by `textBody`. @param shortForm which takes offers in JSON @throws Problem 400, 406, 415 */
export function offerOf(req: Request, shortForm: string): string {
  if (mediaTypeOf(req) !== SDP) throw unsupportedType(req, [SDP], `JSON goes to POST ${shortForm}`);
  if (req.headers.accept !== undefined && !req.accepts(SDP))
    throw new Problem(406, 'Not Acceptable', { detail: `the answer is ${SDP}; accept it` });
  const offer = String(req.body);
  if (offer === '') throw new Problem(400, 'No offer', { detail: 'the body must be an SDP offer' });
  return offer;
}

/** 201 with the answer (RFC 9725 section 4.2). */
export function sendCreated(
  req: Request,
  res: Response,
  session: Session,
  path: string,
  sdp: string,
  iceServers: readonly IceServer[],
  links: readonly SessionLink[] = [],
): void {
  res.set({ location: relativeReference(req, `${path}/${session.id}`), etag: session.etag, 'accept-patch': FRAGMENT });
  setLinks(res, [
    ...iceServers.flatMap(iceServerLinks),
    ...links.map(({ path: at, rel, parameters = '' }) => `<${relativeReference(req, at)}>; rel="${rel}"${parameters}`),
  ]);
  res.status(201).type(SDP).send(sdp);
}

/** One header line for each link, because some clients do not split lists. */
export function setLinks(res: Response, links: readonly string[]): void {
  if (links.length > 0) res.set('link', [...links]);
}

/** RFC 9725 section 4.6. */
export function iceServerLinks({ urls, username, credential }: IceServer): string[] {
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
  if (!session || session.kind !== kind) throw noSession(context, id);
  return session;
}

export function noSession(context: SignalingContext, id: unknown): Problem {
  const ended = context.sessions.ended(sessionId(context, id));
  const why = ended ? `it has ended: ${ended.reason}` : 'it has ended or never existed';
  return new Problem(404, 'No such session', { detail: `${why}; open a new one` });
}

/**
 * Ends a session. Ending it twice is no error: the client may have missed the first answer, or the session may just have ended by itself.
 * @throws Problem 404
 */
export function endSession(
  context: SignalingContext,
  id: unknown,
  isOurs: (session: Pick<Session, 'kind' | 'protocol'>) => boolean,
): void {
  const session = findSession(context, id) ?? context.sessions.ended(sessionId(context, id));
  if (!session || !isOurs(session)) throw noSession(context, id);
  if ('close' in session) session.close('the client ended it');
}

export function statusOf(session: Session): SessionStatus {
  const { id, stream, kind, protocol, state, createdAt, publisher } = session;
  const since = new Date(createdAt).toISOString();
  return { session: id, stream, kind, protocol, state, since, ...(publisher ? { publisher } : {}) };
}

/** The WHIP or WHEP session at `path`/{id}: GET returns its status, PATCH trickles candidates or restarts ICE, DELETE ends it. */
export function sessionRoutes(router: Router, context: SignalingContext, path: string, kind: 'push' | 'pull'): void {
  const app = path.split('/')[2]!;
  router
    .route(`${path}/:id`)
    .get((req, res) => {
      const session = sessionOf(context, req.params['id'], kind);
      res.set('etag', session.etag).json(statusOf(session));
    })
    .patch(textBody(MAX_SDP_BYTES), (req, res) => patchSession(context, sessionOf(context, req.params['id'], kind), req, res))
    .delete((req, res) => {
      endSession(context, req.params['id'], (session) => session.kind === kind);
      res.status(200).end();
    })
    .all((req, _res, next) => {
      if (req.method !== 'POST') return next();
      throw new Problem(400, 'Invalid stream name', {
        detail: `app: "${app}" is where this node has its sessions; publish and play streams under another app`,
      });
    })
    .all(allowMethods(['GET', 'PATCH', 'DELETE'], { 'accept-patch': FRAGMENT }));
}

/** Trickle ICE, ICE restart (RFC 9725 section 4.3), and the answer to an offer of ours. */
async function patchSession(context: SignalingContext, session: Session, req: Request, res: Response): Promise<void> {
  const type = mediaTypeOf(req);
  const text = String(req.body);
  const awaitsAnswer = session.media?.kind === 'offered';
  if (type === SDP && awaitsAnswer) {
    await acceptPullAnswer(session, text).catch((error: unknown) => Promise.reject(sdpProblem(error) as Error));
    res.status(204).end();
    return;
  }
  if (type !== FRAGMENT)
    throw unsupportedType(req, awaitsAnswer ? [FRAGMENT, SDP] : [FRAGMENT], 'a new offer needs a new session: send it with POST');
  const fragment = readFragment(text);
  const sameGeneration = fragment.usernameFragment === session.remoteUfrag;
  const ifMatch = req.headers['if-match'];
  // The user name in the fragment identifies the ICE generation as the ETag does, so If-Match is optional for candidates.
  if (ifMatch === undefined && !sameGeneration)
    throw new Problem(428, 'Precondition Required', { detail: `send If-Match with the session's ETag, or "*" to restart ICE` });
  if (ifMatch !== undefined && !isAny(ifMatch) && (!matches(ifMatch, session.etag) || !sameGeneration)) {
    throw new Problem(412, 'Precondition Failed', {
      detail: 'the fragment belongs to another ICE generation; restart ICE with "If-Match: *"',
    });
  }
  if (sameGeneration) {
    // An ICE-lite agent answers checks from any address, so the client's candidates only need to be well-formed (RFC 8445 section 2.5).
    // No ETag, because the ICE generation is unchanged (RFC 9725 section 4.3.2).
    res.status(204).end();
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

/** `*`, which the examples of RFC 9725 write in quotes. */
function isAny(ifMatch: string): boolean {
  return ifMatch.trim() === '*' || ifMatch.trim() === '"*"';
}

function matches(ifMatch: string, etag: string): boolean {
  return ifMatch
    .split(',')
    .map((tag) => tag.trim())
    .includes(etag);
}
