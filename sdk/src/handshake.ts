import type { Candidate } from './placement.ts';
import { mediaSections } from './descriptions.ts';
import { refusedMedia } from './playable.ts';
import type { SessionResource } from './signaling.ts';
import { deleteSession, postOffer, requestOffer, sendAnswer } from './signaling.ts';

/** Exchanges descriptions with a node, after which the peer connection connects by itself. When it rejects, no session remains on the node. */
export type Handshake = (peer: RTCPeerConnection, candidate: Candidate, signal: AbortSignal) => Promise<SessionResource>;

/** WHIP and WHEP: the client offers what the peer connection has. */
export const clientOffers: Handshake = async (peer, candidate, signal) => {
  await peer.setLocalDescription();
  // Nodes are ICE-lite with their addresses in the answer, so the offer needs no candidates.
  const { resource, answer } = await postOffer(candidate, peer.localDescription?.sdp ?? '', signal);
  await deleteOnFailure(resource, () => peer.setRemoteDescription({ type: 'answer', sdp: answer }));
  return resource;
};

/**
 * `/signaling/pull`: the node offers, with the payload types and header extension ids that it uses itself. So bandwidth estimation
 * always works, whatever ids this browser would have chosen.
 * @throws MediaProblem `CodecRefused` when this browser can decode nothing of the stream.
 */
export const nodeOffers: Handshake = async (peer, candidate, signal) => {
  const { resource, session, sdp, answerUrl } = await requestOffer(candidate, signal);
  await deleteOnFailure(resource, async () => {
    await peer.setRemoteDescription({ type: 'offer', sdp });
    await peer.setLocalDescription();
    const refused = refusedMedia(sdp, peer.localDescription?.sdp ?? '');
    const [first] = refused;
    if (first && refused.length === mediaSections(sdp).length) throw first;
    await sendAnswer(answerUrl, session, peer.localDescription?.sdp ?? '', signal);
  });
  return resource;
};

async function deleteOnFailure(resource: SessionResource, finish: () => Promise<void>): Promise<void> {
  try {
    await finish();
  } catch (error) {
    void deleteSession(resource);
    throw error;
  }
}
