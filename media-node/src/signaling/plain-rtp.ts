import { PlainPullRequest, PlainPushRequest, requestJsonExcess } from '@millrace/api';
import { allowMethods, jsonBody, parseRequest } from '@millrace/service';
import { Router } from 'express';
import { refusalOf } from '../access/index.ts';
import { openPlainPull, openPlainPush } from '../sessions/index.ts';
import { enterByBody, findSession, requireRoom, type SignalingContext } from './context.ts';
import { endSession, noSession, statusOf } from './resource.ts';
import { requireRtpTarget } from './rtp-target.ts';

/**
 * Plain RTP, or SRTP with keys in the body, for native clients without ICE and DTLS. Needs a token whatever the stream's policy is, because packets go to the address that the caller names, without a handshake.
 */
export function plainRtpRoutes(context: SignalingContext): Router {
  const router = Router();
  const body = jsonBody(64 * 1024, requestJsonExcess, 'SDP goes to POST /whip/{app}/{name} or /whep/{app}/{name}');

  router
    .route('/rtp/push')
    .post(body, async (req, res) => {
      const entry = await enterByBody(context, req, 'push');
      const { caller } = entry;
      if (caller.kind !== 'token') throw refusalOf(caller, 'push');
      const request = parseRequest(PlainPushRequest, req.body);
      const { rtpTo, token } = caller;
      requireRtpTarget(request.address, req.ip, rtpTo);
      await requireRoom(context, req, 'push', entry);
      const opened = await context.sessions.admit({ ...entry, isPlain: true }, () =>
        openPlainPush(context, { ...entry, protocol: 'rtp', client: req.ip, rtpTo, body: request, token }),
      );
      res.status(201).json(opened.body);
    })
    .all(allowMethods(['POST'], { 'accept-post': 'application/json' }));

  router
    .route('/rtp/pull')
    .post(body, async (req, res) => {
      const entry = await enterByBody(context, req, 'pull');
      if (entry.caller.kind !== 'token') throw refusalOf(entry.caller, 'pull');
      const request = parseRequest(PlainPullRequest, req.body);
      const { rtpTo } = entry.caller;
      requireRtpTarget(request.address, req.ip, rtpTo);
      await requireRoom(context, req, 'pull', entry);
      const opened = await context.hub.withStream(entry.stream, async (state) => {
        await requireRoom(context, req, 'pull', entry, state.policy);
        return context.sessions.admit({ ...entry, isPlain: true }, () =>
          openPlainPull(context, { ...entry, protocol: 'rtp', client: req.ip, rtpTo, body: request, state }),
        );
      });
      res.status(201).json(opened.body);
    })
    .all(allowMethods(['POST'], { 'accept-post': 'application/json' }));
  // Lets a client without ICE check whether its session still exists.
  router
    .route('/rtp/sessions/:id')
    .get((req, res) => {
      const session = findSession(context, req.params['id']);
      if (session?.protocol !== 'rtp') throw noSession(context, req.params['id']);
      res.json(statusOf(session));
    })
    .delete((req, res) => {
      endSession(context, req.params['id'], ({ protocol }) => protocol === 'rtp');
      res.status(200).end();
    })
    .all(allowMethods(['GET', 'DELETE']));
  return router;
}
