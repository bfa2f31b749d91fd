import { MAX_SDP_BYTES } from '@millrace/api';
import { allowMethods, Problem, textBody } from '@millrace/service';
import { Router } from 'express';
import { refusalOf } from '../access/index.ts';
import { openWebRtcPush } from '../sessions/index.ts';
import { enter, requireRoom, sdpProblem, type Entry, type SignalingContext } from './context.ts';
import { EVENTS_RELATION, streamEvents } from './events.ts';
import { linkIceServers } from './ice-servers.ts';
import { SDP, offerOf, sendCreated, sessionOf, sessionRoutes } from './resource.ts';

const SESSIONS = '/whip/sessions';
const MAX_SESSION_ID = 64;

/** WHIP (RFC 9725): /whip/{app}/{name} takes offers, /whip/sessions/{id} is the session. */
export function whipRoutes(context: SignalingContext): Router {
  const router = Router();
  sessionRoutes(router, context, SESSIONS, 'push');

  router
    .route(`${SESSIONS}/:id/events`)
    .get((req, res) => streamEvents(sessionOf(context, req.params['id'], 'push'), req, res))
    .all(allowMethods(['GET']));

  router
    .route('/whip/:app/:name')
    .post(textBody(MAX_SDP_BYTES), async (req, res) => {
      const offer = offerOf(req, '/signaling/push');
      const entry = await enter(context, req, 'push', `${req.params['app']}/${req.params['name']}`);
      await requireRoom(context, req, 'push', entry);
      const group = typeof req.query['group'] === 'string' ? req.query['group'] : undefined;
      const replaces = typeof req.query['replaces'] === 'string' ? req.query['replaces'].slice(0, MAX_SESSION_ID) : undefined;
      const { session, answer } = await openPush(context, entry, 'whip', offer, group, replaces);
      sendCreated(req, res, session, SESSIONS, answer, context.iceServers, [
        { path: `${SESSIONS}/${session.id}/events`, rel: EVENTS_RELATION },
      ]);
    })
    .all(linkIceServers(context, 'push'), allowMethods(['POST'], { 'accept-post': SDP }));
  return router;
}

/** Opens a publisher's session. @throws Problem */
export async function openPush(
  context: SignalingContext,
  entry: Entry,
  protocol: 'whip' | 'short',
  offer: string,
  group: string | undefined,
  replaces?: string,
): ReturnType<typeof openWebRtcPush> {
  const { stream, user, address, tokenId, caller } = entry;
  try {
    return await context.sessions.admit({ address, tokenId }, () =>
      openWebRtcPush(context, {
        protocol,
        stream,
        user,
        address,
        offer,
        group,
        ...(caller.kind === 'token' ? { token: caller.token } : {}),
        ...(replaces !== undefined ? { replaces } : {}),
      }),
    );
  } catch (error) {
    if (error instanceof Problem && error.status === 401) throw refusalOf(caller, 'push');
    throw sdpProblem(error);
  }
}
