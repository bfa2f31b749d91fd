import {
  AnswerRequest,
  MAX_SDP_BYTES,
  requestJsonExcess,
  ShortPullRequest,
  ShortPushRequest,
  signalingSessionId,
  StopRequest,
} from '@millrace/api';
import { allowMethods, jsonBody, parseRequest, relativeReference } from '@millrace/service';
import { Router, type RequestHandler } from 'express';
import { acceptPullAnswer } from '../sessions/index.ts';
import { enter, findSession, requireRoom, sdpProblem, type SignalingContext } from './context.ts';
import { endSession, noSession } from './resource.ts';
import { openPull } from './whep.ts';
import { openPush } from './whip.ts';

const JSON_POST = { 'accept-post': 'application/json' };
/** A session's id, and room. */
const MAX_STOP_BYTES = 2048;
const STOP_ADVICE = "DELETE on the session's own URL needs no body";

/** The short JSON forms. Push: the client offers. Pull: the node offers, the client answers with sendanswer. */
export function shortFormRoutes(context: SignalingContext): Router {
  const router = Router();
  const body = (advice: string): RequestHandler => jsonBody(MAX_SDP_BYTES * 2, requestJsonExcess, advice);
  const stopBody = jsonBody(MAX_STOP_BYTES, requestJsonExcess, STOP_ADVICE);

  router
    .route('/signaling/push')
    .post(body('a bare SDP offer goes to POST /whip/{app}/{name}'), async (req, res) => {
      const { stream, token, sdp, group } = parseRequest(ShortPushRequest, req.body);
      const entry = await enter(context, req, 'push', stream, token);
      await requireRoom(context, req, 'push', entry);
      const { session, answer } = await openPush(context, entry, 'short', sdp, group);
      res.json({ session: signalingSessionId(context.node, session.id), sdp: answer });
    })
    .all(allowMethods(['POST'], JSON_POST));

  router
    .route('/signaling/pull')
    .post(body('a bare SDP offer goes to POST /whep/{app}/{name}'), async (req, res) => {
      const { stream, token } = parseRequest(ShortPullRequest, req.body);
      const entry = await enter(context, req, 'pull', stream, token);
      const { session, sdp } = await openPull(context, req, entry, 'short');
      const id = signalingSessionId(context.node, session.id);
      const resource = relativeReference(req, `/whep/sessions/${id}`);
      res.json({ session: id, sdp, resource, events: `${resource}/events` });
    })
    .all(allowMethods(['POST'], JSON_POST));

  router
    .route('/signaling/sendanswer')
    .post(body('a bare SDP answer goes to PATCH /whep/sessions/{id}'), async (req, res) => {
      const { session: id, sdp } = parseRequest(AnswerRequest, req.body);
      const session = findSession(context, id);
      if (!session) throw noSession(context, id);
      await acceptPullAnswer(session, sdp).catch((error: unknown) => Promise.reject(sdpProblem(error) as Error));
      res.json({ session: id });
    })
    .all(allowMethods(['POST'], JSON_POST));

  router
    .route('/signaling/stop')
    .post(stopBody, (req, res) => {
      res.json(stop(context, req.body));
    })
    .delete(stopBody, (req, res) => {
      res.json(stop(context, req.body));
    })
    .all(allowMethods(['POST', 'DELETE'], JSON_POST));
  return router;
}

function stop(context: SignalingContext, body: unknown): { session: string } {
  const { session: id } = parseRequest(StopRequest, body);
  endSession(context, id, () => true);
  return { session: id };
}
