import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { negotiatePull, negotiatePush, parseDescription, parseFragment, SdpError } from './index.ts';
import { offerNames, offerText } from '@millrace/testkit/sdp';
import { streamTracks } from './sdp.fixture.ts';

const whip = offerText('chromium-whip-simulcast');

const WRONG: { what: string; text: string; says: RegExp; push?: boolean }[] = [
  { what: 'nothing', text: '', says: /begins with "v=0"/ },
  { what: 'HTML', text: '<html></html>', says: /begins with "v=0"/ },
  { what: 'no media', text: 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n', says: /m= line missing/ },
  { what: 'no BUNDLE group', text: whip.replace(/a=group.*\r\n/, ''), says: /a=group:BUNDLE missing: .*max-bundle/ },
  { what: 'a section outside the BUNDLE group', text: whip.replace('BUNDLE 0 1', 'BUNDLE 0'), says: /section "1" is not in it/ },
  {
    what: 'two BUNDLE groups',
    text: whip.replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0\r\na=group:BUNDLE 1'),
    says: /a=group:BUNDLE 1: is a second group/,
  },
  {
    what: 'a BUNDLE group of a section that is not there',
    text: whip.replace('BUNDLE 0 1', 'BUNDLE 0 1 7'),
    says: /no section has a=mid:7/,
  },
  { what: 'a payload type twice in a section', text: whip.replace(/(m=audio \d+ \S+) (\d+)/, '$1 $2 $2'), says: /occurs twice/ },
  {
    what: 'a payload type mapped twice',
    text: whip.replace(/(a=rtpmap:(\d+) opus.*)/, '$1\r\na=rtpmap:$2 PCMU/8000'),
    says: /a=rtpmap:\d+ PCMU: \d+ is opus too; map it once/,
  },
  {
    what: 'a payload type of two codecs in two sections',
    text: offerText('obs-whip').replace(/\b96\b/g, '111'),
    says: /a=rtpmap:111 H264\/90000: 111 is opus\/48000 too/,
  },
  {
    what: 'a header extension id of two extensions',
    text: whip
      .replace(/a=extmap:\d+ (http\S*abs-send-time)/, 'a=extmap:9 $1')
      .replace(/a=extmap:\d+ (\S*sdes:mid)/, 'a=extmap:9 $1'),
    says: /a=extmap:9 \S+: 9 is \S+ too; give each header extension an id of its own/,
  },
  {
    what: 'a thousand sections',
    text: `${whip}${Array.from({ length: 1000 }, (_, i) => `m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x${i}\r\n`).join('')}`,
    says: /1002 m= lines: at most 16 are allowed/,
  },
  { what: 'more than 64 KiB', text: `${whip}${'a=x\r\n'.repeat(13_000)}`, says: /is longer than 65536 bytes/ },
  {
    what: 'more than 64 KiB in fewer characters',
    text: `${whip}${'a=é\r\n'.repeat(11_500)}`,
    says: /is longer than 65536 bytes/,
  },
  {
    what: 'more SSRCs than are read',
    text: `${whip}${Array.from({ length: 33 }, (_, i) => `a=ssrc:${9000 + i} cname:x\r\n`).join('')}`,
    says: /has too many SSRCs or groups of them: at most 32/,
  },
  {
    what: 'bytes',
    text: Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 89) & 255)).toString(),
    says: /begins with "v=0"/,
  },
  { what: 'no mid', text: whip.replace('a=mid:1\r\n', ''), says: /a=mid missing/ },
  { what: 'a mid twice', text: whip.replace('a=mid:1\r\n', 'a=mid:0\r\n'), says: /a=mid:0: occurs twice/ },
  { what: 'no rtcp-mux', text: whip.replaceAll('a=rtcp-mux\r\n', ''), says: /a=rtcp-mux missing/ },
  { what: 'no ICE user name', text: whip.replace(/a=ice-ufrag.*\r\n/g, ''), says: /a=ice-ufrag: missing/ },
  { what: 'a short ICE password', text: whip.replace(/a=ice-pwd:.*/g, 'a=ice-pwd:short'), says: /a=ice-pwd: missing or not 22/ },
  { what: 'no fingerprint', text: whip.replace(/a=fingerprint.*\r\n/g, ''), says: /a=fingerprint missing/ },
  {
    what: 'a cut fingerprint',
    text: whip.replace(/(a=fingerprint:sha-256 ..:..).*/g, '$1'),
    says: /a=fingerprint:sha-256 ..:..: give the DTLS/,
  },
  { what: 'plain RTP', text: whip.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP'), says: /must be UDP\/TLS\/RTP\/SAVPF/ },
  {
    what: 'a rid that is not declared',
    text: whip.replace('a=rid:h send\r\n', ''),
    says: /layer "h" has no "a=rid:h send" line/,
  },
  { what: 'a wrong setup', text: whip.replace(/a=setup:actpass/g, 'a=setup:holdconn'), says: /a=setup:holdconn/ },
  { what: 'a subtitle section', text: whip.replace('m=audio', 'm=text'), says: /only audio, video and application/ },
  { what: 'a receiver that publishes', text: whip.replaceAll('a=sendonly', 'a=recvonly'), says: /use a=sendonly/, push: true },
  {
    what: 'unknown codecs only',
    text: whip.replace(/opus\/48000\/2/g, 'speex/48000/2'),
    says: /m=audio .*: no codec that is supported among [^;]*speex[^;]*; offer one of opus/,
    push: true,
  },
  {
    what: 'simulcast without the rid extension',
    text: whip.replace(/a=extmap:\d+ urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n/g, ''),
    says: /offer it with a=extmap/,
    push: true,
  },
];

describe('a wrong offer is refused, naming the line and the remedy', () => {
  for (const { what, text, says, push } of WRONG) {
    test(what, () => {
      assert.throws(
        () => {
          const offer = parseDescription(text, 'offer');
          if (push) negotiatePush(offer);
        },
        (error: unknown) => error instanceof SdpError && says.test(error.message),
      );
    });
  }
});

test('hexadecimal profile-level-ids that look like decimal numbers stay text', () => {
  const text = offerText('obs-whip').replace('42e01f', '640028');
  const offer = parseDescription(text, 'offer');
  assert.equal(offer.sections[1]!.codecs[0]!.parameters?.['profile-level-id'], '640028');
});

test('64 KiB of any one line are read or refused within a second of CPU', () => {
  const lines = [
    'a=rtpmap:96 VP8/90000',
    'a=fmtp:96 a=1;b=2',
    'a=fmtp:96 ' + 'a=1;'.repeat(2000),
    'a=rtcp-fb:* nack',
    'a=extmap:1 urn:x',
    'a=rid:q send max-width=1',
    'a=ssrc:1 cname:x',
    'a=ssrc-group:SIM 1 2 3',
    'a=candidate:1 1 udp 1 192.0.2.1 9 typ host',
    'a=simulcast:send ' + 'q;'.repeat(4000),
    'a=group:BUNDLE ' + '0 '.repeat(4000),
    'a=x',
  ];
  for (const line of lines) {
    const numbered = Array.from({ length: 60_000 }, (_, i) => line.replace('urn:x', `urn:x${i}`).replace('rid:q', `rid:q${i}`));
    let text = whip;
    for (const each of numbered) {
      if (text.length + each.length > 65_000) break;
      text += `${each}\r\n`;
    }
    const before = process.cpuUsage();
    try {
      negotiatePush(parseDescription(text, 'offer'));
    } catch (error) {
      assert.ok(error instanceof SdpError, line);
    }
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 1e6, `${line.slice(0, 40)}: ${(user + system) / 1000} ms`);
  }
});

describe('whatever a client sends', () => {
  const tracks = streamTracks({ mimeType: 'video/VP8' });
  const line = fc.oneof(
    fc.constantFrom(
      'm=video 9 UDP/TLS/RTP/SAVPF 96',
      'a=mid:0',
      'a=simulcast:send a;b;c',
      'a=rtpmap:96 VP8',
      'a=group:BUNDLE',
      'a=extmap:x y',
      'a=fmtp:96 __proto__=1',
      'a=ssrc-group:FID a b',
      'a=rid:1',
    ),
    fc.string(),
  );
  const mutation = fc.record({ at: fc.nat(400), kind: fc.constantFrom('drop', 'double', 'replace', 'insert', 'cut'), line });

  test('parsing and negotiating end with a result or an SdpError', () => {
    fc.assert(
      fc.property(fc.constantFrom(...offerNames), fc.array(mutation, { minLength: 1, maxLength: 6 }), (name, mutations) => {
        let lines = offerText(name).split('\r\n');
        for (const { at, kind, line: text } of mutations) {
          const index = at % Math.max(1, lines.length);
          if (kind === 'drop') lines.splice(index, 1);
          else if (kind === 'double') lines.splice(index, 0, lines[index]!);
          else if (kind === 'replace') lines[index] = text;
          else if (kind === 'insert') lines.splice(index, 0, text);
          else lines = lines.slice(0, index + 1);
        }
        endsWell(() => {
          const offer = parseDescription(lines.join('\r\n'), 'offer');
          endsWell(() => negotiatePush(offer));
          endsWell(() => negotiatePull(offer, tracks));
        });
      }),
      { numRuns: 1500 },
    );
  });

  test('a fragment is read or refused with an SdpError', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            line,
            fc.constantFrom('a=ice-ufrag:abcd', 'a=ice-pwd:0123456789012345678901', 'a=candidate:1 1 udp 1 192.0.2.1 9 typ host'),
          ),
        ),
        (lines) => {
          endsWell(() => parseFragment(lines.join('\r\n')));
        },
      ),
    );
  });

  function endsWell(run: () => unknown): void {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof SdpError, error instanceof Error ? error.stack : String(error));
    }
  }
});
