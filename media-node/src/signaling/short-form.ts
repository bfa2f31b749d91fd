import { AnswerRequest, MAX_SDP_BYTES, ShortPullRequest, ShortPushRequest, signalingSessionId, StopRequest } from '@millrace/api';
import { jsonBody, parseRequest, Problem } from '@millrace/service';
import { Router } from 'express';
import { acceptPullAnswer } from '../sessions/index.ts';
import { enter, findSession, requireRoom, sdpProblem, type SignalingContext } from './context.ts';
import { methods } from './cors.ts';
import { openPull } from './whep.ts';
import { openPush } from './whip.ts';

/** The short JSON forms. Push: the client offers. Pull: the node offers, the client answers with sendanswer. */
export function shortFormRoutes(context: SignalingContext): Router {
  const router = Router();
  const body = jsonBody(MAX_SDP_BYTES * 2);

  router
    .route('/signaling/push')
    .post(body, async (req, res) => {
      const { stream, token, sdp, group } = parseRequest(ShortPushRequest, req.body);
      const entry = await enter(context, req, 'push', stream, token);
      await requireRoom(context, req, 'push', entry);
      const { session, answer } = await openPush(context, entry, 'short', sdp, group);
      res.json({ session: signalingSessionId(context.node, session.id), sdp: answer });
    })
    .all(methods('POST'));

  router
    .route('/signaling/pull')
    .post(body, async (req, res) => {
      const { stream, token } = parseRequest(ShortPullRequest, req.body);
      const entry = await enter(context, req, 'pull', stream, token);
      const { session, sdp } = await openPull(context, req, entry, 'short');
      const id = signalingSessionId(context.node, session.id);
      res.json({ session: id, sdp, resource: `/whep/sessions/${id}`, events: `/whep/sessions/${id}/events` });
    })
    .all(methods('POST'));

  router
    .route('/signaling/sendanswer')
    .post(body, async (req, res) => {
      const { session: id, sdp } = parseRequest(AnswerRequest, req.body);
      const session = findSession(context, id);
      if (!session)
        throw new Problem(404, 'No such session', {
          detail: 'it has ended or never existed; ask for a new offer with POST /signaling/pull',
        });
      await acceptPullAnswer(session, sdp).catch((error: unknown) => Promise.reject(sdpProblem(error) as Error));
      res.json({ session: id });
    })
    .all(methods('POST'));

  router
    .route('/signaling/stop')
    .post(body, (req, res) => {
      res.json(stop(context, req.body));
    })
    .delete(body, (req, res) => {
      res.json(stop(context, req.body));
    })
    .all(methods('POST, DELETE'));
  return router;
}

function stop(context: SignalingContext, body: unknown): { session: string } {
  const { session: id } = parseRequest(StopRequest, body);
  const session = findSession(context, id);
  if (!session) throw new Problem(404, 'No such session', { detail: 'it has ended or never existed' });
  session.close('the client ended it');
  return { session: id };
}
