import { describe, test } from 'node:test';
import { MAX_SDP_BYTES } from '@millrace/api';
import { assertLinear } from '@millrace/testkit';
import { offerText } from '@millrace/testkit/sdp';
import { negotiatePush, parseDescription } from './index.ts';
import { parseFragment } from './fragment.ts';

const [session, section] = offerText('werift-whip').split(/(?=^m=)/m) as [string, string];
const line =
  (make: (n: number) => string) =>
  (length: number): string => {
    let lines = '';
    for (let n = 0; lines.length < length; n++) lines += `${make(n)}\r\n`;
    return lines;
  };
const types = Array.from({ length: 128 }, (_, n) => n);
const allTypes = `m=video 9 UDP/TLS/RTP/SAVPF ${types.join(' ')}\r\na=mid:0\r\na=rtcp-mux\r\na=sendonly\r\n${types.map((n) => `a=rtpmap:${n} VP8/90000\r\n`).join('')}`;

const inSession: Record<string, (n: number) => string> = {
  'header extensions': (n) => `a=extmap:${(n % 255) + 1} u:${n}`,
  'the same header extension': () => 'a=extmap:1 u:1',
  groups: (n) => `a=group:LS ${n}`,
};
const inSection: Record<string, (n: number) => string> = {
  'header extensions of a section': (n) => `a=extmap:${(n % 255) + 1} u:${n}`,
  SSRCs: (n) => `a=ssrc:${n + 1} cname:x`,
  'SSRC groups': (n) => `a=ssrc-group:FID ${n + 1} ${n + 2}`,
  rids: (n) => `a=rid:r${n} send`,
  candidates: (n) => `a=candidate:1 1 udp 1 192.0.2.1 ${(n % 60_000) + 1} typ host`,
  'fmtp lines': () => `a=fmtp:96 ${'a=1;'.repeat(50)}`,
  'spaces in an fmtp line': () => `a=fmtp:96 ${' '.repeat(2000)}`,
  'image attributes': () => `a=imageattr:96 send ${'[x=1,y=1] '.repeat(100)}`,
  'unknown attributes': () => `a=x:${'a '.repeat(40)}`,
};

function read(text: string): void {
  try {
    negotiatePush(parseDescription(text, 'offer'));
  } catch {
    // Most are refused; what counts is the time.
  }
}

/** A description costs time in proportion to its length, whatever it is full of. */
describe('the time for a session description is linear in', () => {
  const length = Math.floor((MAX_SDP_BYTES - 8000) / 4);
  for (const [what, make] of Object.entries(inSession))
    test(what, () => assertLinear(what, (bytes) => session + line(make)(bytes) + section, read, length));
  for (const [what, make] of Object.entries(inSection))
    test(what, () => assertLinear(what, (bytes) => session + section + line(make)(bytes), read, length));
  test('feedback for all payload types', () =>
    assertLinear('feedback', (bytes) => session + allTypes + line(() => 'a=rtcp-fb:* nack')(bytes), read, length));
  test('candidates of a fragment', () =>
    assertLinear(
      'fragment',
      line((n) => `a=candidate:1 1 udp 1 192.0.2.1 ${n + 1} typ host`),
      (text) => {
        try {
          parseFragment(text);
        } catch {
          // Too many candidates.
        }
      },
      4000,
    ));
});
