import { randomInt } from 'node:crypto';
import type { types } from 'mediasoup';
import type { MediaCore, StreamHub } from '../media/index.ts';
import { negotiatePush, parseDescription, writeAnswer, type LocalSection } from '../sdp/index.ts';
import { newSessionId, Session, type Protocol, type SessionTimeouts } from './session.ts';
import { Problem, type Clock } from '@millrace/service';
import { announcedCandidates, type AnnouncedAddresses } from '../addresses/index.ts';

export interface OpenContext {
  addresses: AnnouncedAddresses;
  hub: StreamHub;
  clock: Clock;
  timeouts: SessionTimeouts;
}

export interface OpenRequest {
  protocol: Protocol;
  stream: string;
  user: string | undefined;
  address: string;
}

/** Bandwidth estimation starts here, in bits per second; browsers' first keyframes fit in. */
const INITIAL_BPS = 2_000_000;

/** Takes a publisher's offer. @throws SdpError, Problem */
export async function openWebRtcPush(
  context: OpenContext,
  request: OpenRequest & {
    offer: string;
    group: string | undefined;
    token?: string | undefined;
    /** The publisher's earlier session, whose name it takes over. */
    replaces?: string;
  },
): Promise<{ session: Session; answer: string }> {
  requireAddress(context);
  const offer = parseDescription(request.offer, 'offer');
  const { tracks, answer: sections } = negotiatePush(offer);
  const id = newSessionId();
  const published = await context.hub.publish({
    stream: request.stream,
    session: id,
    ...(request.token !== undefined ? { token: request.token } : {}),
    coreKey: request.group ?? request.user ?? request.stream,
    ...(request.replaces !== undefined ? { replaces: request.replaces } : {}),
    tracks,
    createTransport: async (router, core) => {
      const transport = await createWebRtcTransport(router, core);
      await transport.connect({ dtlsParameters: offer.dtls });
      return transport;
    },
  });
  const { transport } = published.origin;
  const maxKbps = published.policy.maxPublishKbps;
  const session = new Session({ ...request, id, clock: context.clock, timeouts: context.timeouts });
  session.remoteUfrag = offer.ice.usernameFragment;
  session.firstMid = offer.bundle[0] ?? '0';
  session.bind({ kind: 'push', published });
  const answer = writeAnswer(
    newIdentity(),
    { ...localTransport(transport, context.addresses), setup: offer.setup === 'passive' ? 'active' : 'passive' },
    capped(sections, maxKbps),
  );
  session.description = answer;
  return { session, answer };
}

export function createWebRtcTransport(router: types.Router, core: MediaCore): Promise<types.WebRtcTransport> {
  return router.createWebRtcTransport({
    webRtcServer: core.server,
    enableUdp: true,
    enableTcp: false,
    initialAvailableOutgoingBitrate: INITIAL_BPS,
    iceConsentTimeout: 20,
  });
}

/** The node's end of a transport, for a session description. */
export function localTransport(
  { iceParameters, iceCandidates, dtlsParameters }: types.WebRtcTransport,
  addresses: AnnouncedAddresses,
): {
  iceParameters: types.IceParameters;
  iceCandidates: types.IceCandidate[];
  dtlsParameters: types.DtlsParameters;
} {
  return { iceParameters, iceCandidates: announcedCandidates(iceCandidates, addresses.current), dtlsParameters };
}

/** @throws Problem 503 while no announced name has resolved, so that clients have no address to send to */
export function requireAddress({ addresses }: Pick<OpenContext, 'addresses'>): void {
  if (addresses.current.length > 0) return;
  throw new Problem(503, 'No address', { detail: addresses.problems.join('; '), headers: { 'retry-after': '5' } });
}

/** RFC 8829 section 5.2.1 recommends 62 random bits for a session id; 48 fit a safe integer. */
export function newIdentity(): { sessionId: string; version: number } {
  return { sessionId: String(randomInt(2 ** 47)), version: 1 };
}

function capped(sections: readonly LocalSection[], maxKbps: number | undefined): LocalSection[] {
  if (maxKbps === undefined) return [...sections];
  return sections.map((section) => ('rejectedLine' in section || section.kind !== 'video' ? section : { ...section, maxKbps }));
}
