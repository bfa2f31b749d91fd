import {
  SignalingRequest,
  nodeOfSignalingSession,
  requestJsonExcess,
  verifyMediaToken,
  type MediaTokenClaims,
} from '@millrace/api';
import { allowMethods, bearerProblem, bearerToken, isHttps, jsonBody, parseRequest, Problem } from '@millrace/service';
import { Router, type Request, type RequestHandler, type Response } from 'express';
import type { HttpContext } from './context.ts';
import { NO_HTTPS, nothingFits } from './placement.ts';

/** An SDP offer or answer with all its candidates. */
const MAX_BODY_BYTES = 256 * 1024;

/**
 * The short signalling forms at control's address: redirects the client to a node (307 keeps method and body).
 * Checks the token first, so that unauthorized clients learn nothing about the nodes.
 */
export function signalingRoutes(context: HttpContext): Router {
  const router = Router();
  const body = jsonBody(
    MAX_BODY_BYTES,
    requestJsonExcess,
    'bare SDP goes to a media node, at "url" in the answer of POST /v1/push or /v1/pull',
  );
  const only = (...methods: string[]): RequestHandler => allowMethods(methods, { 'accept-post': 'application/json' });
  for (const kind of ['push', 'pull'] as const) {
    router
      .route(`/${kind}`)
      .post(body, async (req, res) => redirectToPlace(context, kind, req, res))
      .all(only('POST'));
  }
  router
    .route('/sendanswer')
    .post(body, (req, res) => redirectToSession(context, '/signaling/sendanswer', req, res))
    .all(only('POST'));
  router
    .route('/stop')
    .post(body, (req, res) => redirectToSession(context, '/signaling/stop', req, res))
    .delete(body, (req, res) => redirectToSession(context, '/signaling/stop', req, res))
    .all(only('POST', 'DELETE'));
  return router;
}

function redirectToSession(context: HttpContext, path: string, req: Request, res: Response): void {
  const { session } = parseRequest(SignalingRequest, req.body);
  if (session === undefined)
    throw new Problem(400, 'Invalid request body', {
      detail: 'session: missing; it is in the answer of /signaling/push or /signaling/pull',
    });
  const node = nodeOfSignalingSession(session);
  const signaling = node === undefined ? undefined : context.fleet.presence(node)?.hello.endpoints.signalingUrl;
  if (signaling === undefined) {
    throw new Problem(404, 'No such session', {
      detail: 'no node of this name is known; send the request to the node that opened the session',
    });
  }
  // The body may hold a token, and the session's id is as good as one for this session.
  if (req.secure && !isHttps(signaling))
    throw new Problem(503, 'No way by HTTPS', { detail: `the session is on node ${node}, and ${NO_HTTPS}` });
  redirect(res, signaling, path);
}

async function redirectToPlace(context: HttpContext, kind: 'push' | 'pull', req: Request, res: Response): Promise<void> {
  const { stream, token } = parseRequest(SignalingRequest, req.body);
  if (stream === undefined) throw new Problem(400, 'Invalid request body', { detail: 'stream: missing; write app/name' });
  const valid = await authorize(context, kind, stream, tokensOf(req, token));
  const placed = context.placer.place({ kind, stream, clientAddress: req.ip, tokenId: valid?.claims.jti, httpsOnly: req.secure });
  context.metrics.placements.inc({ kind, outcome: placed.ok ? 'placed' : 'refused' });
  const first = placed.ok ? placed.places[0] : undefined;
  if (!first) throw nothingFits(kind, stream, placed.ok ? [] : placed.reasons);
  // The token stays in the body: clients drop a header when a redirect leaves the origin (Fetch section 4.4).
  redirect(res, first.signaling, `/signaling/${kind}`, valid?.token === token ? undefined : valid?.token);
}

/** @returns the valid one of the given tokens and its claims. @throws Problem 401 or 403 when one is needed and none is valid */
async function authorize(
  context: HttpContext,
  act: 'push' | 'pull',
  stream: string,
  tokens: readonly string[],
): Promise<{ token: string; claims: MediaTokenClaims } | undefined> {
  let refusal: Problem | undefined;
  for (const token of tokens) {
    const verdict = await verifyMediaToken(token, context.signingKeys.publicKeys, { act, stream, nowMs: context.clock.wall() });
    if (verdict.ok) return { token, claims: verdict.claims };
    const forbidden = verdict.refusal === 'wrong-action' || verdict.refusal === 'wrong-stream';
    refusal ??= bearerProblem(verdict.detail, forbidden ? 'insufficient_scope' : 'invalid_token');
  }
  const { access } = context.streams.policyOf(stream);
  if ((act === 'push' ? access.publish : access.play) === 'Public') return undefined;
  throw refusal ?? bearerProblem(`token: missing; an app gets one with POST /v1/${act}`);
}

/** Tokens in the body, the Authorization header and the query (RFC 6750 section 2). */
function tokensOf(req: Request, inBody: string | undefined): string[] {
  const { access_token: inQuery } = req.query;
  return [inBody, bearerToken(req.headers.authorization), inQuery].filter(
    (token) => typeof token === 'string' && token !== '',
  ) as string[];
}

function redirect(res: Response, signalingUrl: string, path: string, token?: string): void {
  const url = new URL(signalingUrl.replace(/\/$/, '') + path);
  if (token !== undefined) url.searchParams.set('access_token', token);
  res.status(307).set('Location', url.href).end();
}
