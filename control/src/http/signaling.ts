import { SignalingRequest, nodeOfSignalingSession, verifyMediaToken } from '@millrace/api';
import { bearerProblem, jsonBody, parseRequest, Problem } from '@millrace/service';
import { Router, type Request, type Response } from 'express';
import type { HttpContext } from './context.ts';
import { nothingFits } from './placement.ts';

/** An SDP offer or answer with all its candidates. */
const MAX_BODY_BYTES = 256 * 1024;

/**
 * The short signalling forms at control's address: the client repeats its request at the node it is sent to (307 keeps method and body).
 * The token is checked first, so that strangers learn nothing of the nodes.
 */
export function signalingRoutes(context: HttpContext): Router {
  const router = Router();
  const body = jsonBody(MAX_BODY_BYTES);
  for (const kind of ['push', 'pull'] as const) {
    router.post(`/${kind}`, body, async (req, res) => redirectToPlace(context, kind, req, res));
  }
  router.post('/sendanswer', body, (req, res) => redirectToSession(context, '/signaling/sendanswer', req, res));
  router
    .route('/stop')
    .post(body, (req, res) => redirectToSession(context, '/signaling/stop', req, res))
    .delete(body, (req, res) => redirectToSession(context, '/signaling/stop', req, res));
  return router;
}

function redirectToSession(context: HttpContext, path: string, req: Request, res: Response): void {
  const { session } = parseRequest(SignalingRequest, req.body ?? {});
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
  redirect(res, signaling, path);
}

async function redirectToPlace(context: HttpContext, kind: 'push' | 'pull', req: Request, res: Response): Promise<void> {
  const { stream, token } = parseRequest(SignalingRequest, req.body ?? {});
  if (stream === undefined) throw new Problem(400, 'Invalid request body', { detail: 'stream: missing; write app/name' });
  await authorize(context, kind, stream, token ?? bearerOf(req));
  const placed = context.placer.place({ kind, stream, clientAddress: req.ip });
  context.metrics.placements.inc({ kind, outcome: placed.ok ? 'placed' : 'refused' });
  const first = placed.ok ? placed.places[0] : undefined;
  if (!first) throw nothingFits(kind, stream, placed.ok ? [] : placed.reasons);
  redirect(res, first.signaling, `/signaling/${kind}`);
}

async function authorize(context: HttpContext, act: 'push' | 'pull', stream: string, token: string | undefined): Promise<void> {
  const { access } = context.streams.policyOf(stream);
  if ((act === 'push' ? access.publish : access.play) === 'Public') return;
  if (token === undefined) {
    throw bearerProblem(`token: missing; an app gets one with POST /v1/${act}`);
  }
  const verdict = await verifyMediaToken(token, context.signingKeys.publicKeys, { act, stream, nowMs: context.clock.wall() });
  if (verdict.ok) return;
  const forbidden = verdict.refusal === 'wrong-action' || verdict.refusal === 'wrong-stream';
  throw bearerProblem(verdict.detail, forbidden ? 'insufficient_scope' : 'invalid_token');
}

function bearerOf(req: Request): string | undefined {
  return /^Bearer (\S{1,4096})$/.exec(req.headers.authorization ?? '')?.[1];
}

function redirect(res: Response, signalingUrl: string, path: string): void {
  res
    .status(307)
    .set('Location', signalingUrl.replace(/\/$/, '') + path)
    .end();
}
