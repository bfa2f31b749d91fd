import type { StreamState } from '@millrace/api';
import { Problem } from '@millrace/service';
import type { Distribution, Viewer } from '../media/index.ts';
import {
  negotiatePull,
  offerPull,
  parseDescription,
  readPullAnswer,
  writeAnswer,
  writeOffer,
  type LocalSection,
  type PullNegotiation,
  type PullSelection,
  type RemoteDescription,
} from '../sdp/index.ts';
import { isWebRtc, Session } from './session.ts';
import {
  createWebRtcTransport,
  localTransport,
  newIdentity,
  requireAddress,
  type OpenContext,
  type OpenRequest,
} from './webrtc-push.ts';

type PullRequest = OpenRequest & { state: StreamState };

/** The session and the SDP for the client: an answer to its offer, or the node's own offer. */
export interface PullOpening {
  session: Session;
  sdp: string;
}

/** Takes a viewer's offer. @throws SdpError, Problem */
export async function openWebRtcPull(context: OpenContext, request: PullRequest & { offer: string }): Promise<PullOpening> {
  requireAddress(context);
  const offer = parseDescription(request.offer, 'offer');
  // Nothing is opened for an offer that cannot be served. The stream's own description counts, because the directory's may be older.
  if (request.state.tracks) negotiatePull(offer, request.state.tracks);
  const distribution = await context.hub.distribute(request.state);
  return answerPull(context, request, offer, negotiatePull(offer, distribution.tracks), distribution);
}

async function answerPull(
  context: OpenContext,
  request: PullRequest,
  offer: RemoteDescription,
  negotiation: PullNegotiation,
  distribution: Distribution,
): Promise<PullOpening> {
  const selections = negotiation.sections.flatMap(({ selection }) => (selection ? [selection] : []));
  const transport = await distribution.createTransport((router) => createWebRtcTransport(router, distribution.core));
  const viewer = await distribution.addViewer(transport, selections);
  try {
    await transport.connect({ dtlsParameters: offer.dtls });
    const session = new Session({ ...request, clock: context.clock, timeouts: context.timeouts });
    session.remoteUfrag = offer.ice.usernameFragment;
    session.firstMid = offer.bundle[0] ?? '0';
    session.bind({ kind: 'pull', viewer, selections });
    const sections = negotiation.sections.map(({ mid, line, selection }): LocalSection =>
      selection ? sendingSection(request.stream, viewer, selection) : { mid, rejectedLine: line },
    );
    const setup = offer.setup === 'passive' ? 'active' : 'passive';
    session.description = writeAnswer(newIdentity(), { ...localTransport(transport, context.addresses), setup }, sections);
    return { session, sdp: session.description };
  } catch (error) {
    viewer.close('setting up failed');
    throw error;
  }
}

/** Offers the stream to the viewer. The session is pending until `acceptPullAnswer`. @throws Problem */
export async function offerWebRtcPull(context: OpenContext, request: PullRequest): Promise<PullOpening> {
  requireAddress(context);
  const distribution = await context.hub.distribute(request.state);
  if (distribution.tracks.length === 0)
    throw new Problem(503, 'No media yet', {
      detail: 'the stream has no tracks yet; try again',
      headers: { 'retry-after': '1' },
    });
  const selections = offerPull(distribution.tracks, distribution.payloadTypes());
  const transport = await distribution.createTransport((router) => createWebRtcTransport(router, distribution.core));
  const viewer = await distribution.addViewer(transport, selections);
  const session = new Session({ ...request, clock: context.clock, timeouts: context.timeouts });
  session.firstMid = selections[0]!.mid;
  session.bind({ kind: 'offered', viewer, selections, tracks: distribution.tracks });
  const sections = selections.map((selection) => sendingSection(request.stream, viewer, selection));
  session.description = writeOffer(
    newIdentity(),
    { ...localTransport(transport, context.addresses), setup: 'actpass' },
    sections,
  );
  return { session, sdp: session.description };
}

/** @throws SdpError; Problem 409 when the session does not wait for an answer */
export async function acceptPullAnswer(session: Session, sdp: string): Promise<void> {
  if (session.media?.kind !== 'offered')
    throw new Problem(409, 'No offer is open', { detail: 'this session already has its answer, or never had an offer of ours' });
  const { viewer, selections, tracks } = session.media;
  if (!isWebRtc(viewer.transport)) throw new Problem(409, 'No offer is open');
  const answer = parseDescription(sdp, 'answer');
  const taken = readPullAnswer(selections, tracks, answer);
  session.bind({ kind: 'pull', viewer, selections: taken });
  session.remoteUfrag = answer.ice.usernameFragment;
  viewer.keepOnly(taken.map(({ track }) => track));
  await viewer.transport.connect({ dtlsParameters: answer.dtls });
}

function sendingSection(stream: string, viewer: Viewer, selection: PullSelection): LocalSection {
  const { rtpParameters } = viewer.consumers.get(selection.track)!;
  const [media, rtx] = rtpParameters.codecs;
  const encoding = rtpParameters.encodings![0]!;
  const name = stream.replace('/', '.');
  return {
    mid: selection.mid,
    kind: selection.kind,
    direction: 'sendonly',
    codecs: [
      {
        ...media!,
        ...(selection.channels !== undefined ? { channels: selection.channels } : {}),
        parameters: selection.parameters,
      },
      ...(rtx ? [rtx] : []),
    ],
    extensions: selection.extensions,
    sent: {
      ssrc: encoding.ssrc!,
      ...(encoding.rtx ? { rtxSsrc: encoding.rtx.ssrc } : {}),
      cname: name,
      msid: `${name} ${selection.kind}${selection.track}`,
    },
  };
}
