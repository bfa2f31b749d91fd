import { LayerPreference, MAX_SDP_BYTES, requestJsonExcess } from '@millrace/api';
import { allowMethods, jsonBody, parseRequest, Problem, textBody } from '@millrace/service';
import { Router } from 'express';
import { offerWebRtcPull, openWebRtcPull, type PullOpening, type Session } from '../sessions/index.ts';
import { enter, requireRoom, sdpProblem, type Entry, type SignalingContext } from './context.ts';
import { EVENTS_RELATION, streamEvents } from './events.ts';
import { linkIceServers } from './ice-servers.ts';
import { SDP, offerOf, sendCreated, sessionOf, sessionRoutes } from './resource.ts';

const SESSIONS = '/whep/sessions';
/** Our own layers, see the reference of POST /whep/sessions/{id}/layers. */
const LAYERS_RELATION = 'urn:millrace:layers';

/** WHEP (draft-ietf-wish-whep): /whep/{app}/{name} takes offers, /whep/sessions/{id} is the session, with its events and layers beneath. */
export function whepRoutes(context: SignalingContext): Router {
  const router = Router();
  sessionRoutes(router, context, SESSIONS, 'pull');

  router
    .route(`${SESSIONS}/:id/events`)
    .get((req, res) => streamEvents(sessionOf(context, req.params['id'], 'pull'), req, res))
    .all(allowMethods(['GET']));

  router
    .route(`${SESSIONS}/:id/layers`)
    .get((req, res) => {
      res.json({ layers: viewerOf(sessionOf(context, req.params['id'], 'pull')).layers() });
    })
    .post(jsonBody(4 * 1024, requestJsonExcess), async (req, res) => {
      const viewer = viewerOf(sessionOf(context, req.params['id'], 'pull'));
      const { track, spatialLayer, temporalLayer } = parseRequest(LayerPreference, req.body ?? {});
      await viewer.prefer(
        spatialLayer === undefined
          ? null
          : {
              ...(track !== undefined ? { track } : {}),
              spatialLayer,
              ...(temporalLayer !== undefined ? { temporalLayer } : {}),
            },
      );
      res.json({ layers: viewer.layers() });
    })
    .all(allowMethods(['GET', 'POST'], { 'accept-post': 'application/json' }));

  router
    .route('/whep/:app/:name')
    .post(textBody(MAX_SDP_BYTES), async (req, res) => {
      const offer = offerOf(req, '/signaling/pull');
      const entry = await enter(context, req, 'pull', `${req.params['app']}/${req.params['name']}`);
      const { session, sdp } = await openPull(context, req, entry, 'whep', offer);
      const path = `${SESSIONS}/${session.id}`;
      const links = [
        { path: `${path}/events`, rel: EVENTS_RELATION },
        { path: `${path}/layers`, rel: LAYERS_RELATION },
      ];
      sendCreated(req, res, session, SESSIONS, sdp, context.iceServers, links);
    })
    .all(linkIceServers(context, 'pull'), allowMethods(['POST'], { 'accept-post': SDP }));
  return router;
}

/** Opens a viewer's session with its offer or, without one, with an offer of this node. @throws Problem */
export async function openPull(
  context: SignalingContext,
  req: Parameters<typeof requireRoom>[1],
  entry: Entry,
  protocol: 'whep' | 'short',
  offer?: string,
): Promise<PullOpening> {
  const { stream, user, address, tokenId, caller } = entry;
  await requireRoom(context, req, 'pull', entry);
  try {
    return await context.hub.withStream(stream, async (state) => {
      context.access.requirePermission(caller, 'pull', state.policy);
      await requireRoom(context, req, 'pull', entry, state.policy);
      const request = { protocol, stream, user, address, state };
      return context.sessions.admit({ address, tokenId }, () =>
        offer === undefined ? offerWebRtcPull(context, request) : openWebRtcPull(context, { ...request, offer }),
      );
    });
  } catch (error) {
    throw sdpProblem(error);
  }
}

function viewerOf(session: Session): Extract<NonNullable<Session['media']>, { viewer: unknown }>['viewer'] {
  if (!session.media || session.media.kind === 'push') throw new Problem(404, 'No such session', { detail: 'it plays nothing' });
  return session.media.viewer;
}
