import type { types } from 'mediasoup';
import { SdpError } from './sdp-error.ts';
import { writeCandidates } from './write.ts';

/** An application/trickle-ice-sdpfrag body (RFC 8840 section 9). */
export interface IceFragment {
  usernameFragment: string;
  password: string;
  /** How many candidates the fragment has. An ICE-lite agent learns their addresses from connectivity checks. */
  candidates: number;
  endOfCandidates: boolean;
}

const MAX_FRAGMENT_BYTES = 16 * 1024;
const MAX_CANDIDATES = 128;

/** @throws SdpError */
export function parseFragment(text: string): IceFragment {
  if (text.length > MAX_FRAGMENT_BYTES)
    throw new SdpError('the fragment', `is longer than ${MAX_FRAGMENT_BYTES} bytes; send fewer candidates at once`);
  let usernameFragment = '';
  let password = '';
  let candidates = 0;
  let endOfCandidates = false;
  for (const line of text.split(/\r?\n/)) {
    if (line === '') continue;
    if (!/^[a-z]=/.test(line)) throw new SdpError(line, 'each line of a fragment has the form "a=..." (RFC 8840 section 9)');
    if (line.startsWith('a=ice-ufrag:')) usernameFragment ||= line.slice(12).trim();
    else if (line.startsWith('a=ice-pwd:')) password ||= line.slice(10).trim();
    else if (line.startsWith('a=end-of-candidates')) endOfCandidates = true;
    else if (line.startsWith('a=candidate:')) candidates += checkCandidate(line);
  }
  if (candidates > MAX_CANDIDATES) throw new SdpError(`${candidates} a=candidate lines`, `at most ${MAX_CANDIDATES} are allowed`);
  if (!/^[A-Za-z0-9+/=_-]{4,256}$/.test(usernameFragment))
    throw new SdpError('a=ice-ufrag', 'missing or not 4 to 256 ice-chars (RFC 8839 section 5.4)');
  if (!/^[A-Za-z0-9+/=_-]{22,256}$/.test(password))
    throw new SdpError('a=ice-pwd', 'missing or not 22 to 256 ice-chars (RFC 8839 section 5.4)');
  return { usernameFragment, password, candidates, endOfCandidates };
}

function checkCandidate(line: string): 1 {
  if (!/^a=candidate:\S{1,32} \d{1,5} \S+ \d{1,10} \S+ \d{1,5} typ \S+/.test(line))
    throw new SdpError(line, 'not a candidate as in RFC 8839 section 5.1');
  return 1;
}

/** The answer to an ICE restart: the node's new credentials and candidates. */
export function writeFragment(ice: types.IceParameters, candidates: readonly types.IceCandidate[], mid: string): string {
  const lines = [
    'a=ice-lite',
    `a=ice-ufrag:${ice.usernameFragment}`,
    `a=ice-pwd:${ice.password}`,
    'm=audio 9 UDP/TLS/RTP/SAVPF 0',
    `a=mid:${mid}`,
  ];
  return `${[...lines, ...writeCandidates(candidates)].join('\r\n')}\r\n`;
}
