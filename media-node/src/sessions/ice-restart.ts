import { Problem } from '@millrace/service';
import { announcedCandidates, type AnnouncedAddresses } from '../addresses/index.ts';
import { writeFragment } from '../sdp/index.ts';
import { isWebRtc, newTag, type Session } from './session.ts';

/** New ICE credentials at both ends, on the same DTLS association (RFC 9725 section 4.3.3). @returns the fragment for the client */
export async function restartIce(session: Session, remoteUfrag: string, addresses: AnnouncedAddresses): Promise<string> {
  const { transport } = session;
  if (!transport || !isWebRtc(transport))
    throw new Problem(409, 'No ICE here', { detail: 'a plain RTP session has no ICE to restart' });
  if (transport.closed) throw new Problem(404, 'No such session', { detail: 'its media is gone; open a new one' });
  const parameters = await transport.restartIce();
  session.remoteUfrag = remoteUfrag;
  session.etag = newTag();
  return writeFragment(parameters, announcedCandidates(transport.iceCandidates, addresses.current), session.firstMid);
}
