import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { negotiatePull, negotiatePush, parseDescription, SdpError } from './index.ts';
import { offerText } from '@millrace/testkit/sdp';
import { streamTracks } from './sdp.fixture.ts';

const H264 = { mimeType: 'video/H264', parameters: { 'packetization-mode': 1, 'profile-level-id': '42e01f' } };

/** The offer with its video's payload type 96 renumbered. */
const withVideoAs = (payloadType: number, name = 'obs-whip'): string =>
  offerText(name)
    .replace(/^(m=video \d+ \S+) 96/m, `$1 ${payloadType}`)
    .replace(/^a=(rtpmap|fmtp|rtcp-fb):96 /gm, `a=$1:${payloadType} `);

const published = (offer: string) => negotiatePush(parseDescription(offer, 'offer')).tracks;

describe('payload types on one port with RTCP', () => {
  test('64 to 95 are refused by name, with the remedy; those beside them are taken', () => {
    for (const payloadType of [35, 63, 64, 72, 95, 96, 127]) {
      const take = () => published(withVideoAs(payloadType)).map(({ rtpParameters }) => rtpParameters.codecs[0]!.payloadType);
      if (payloadType < 64 || payloadType > 95) assert.deepEqual(take(), [111, payloadType]);
      else
        assert.throws(take, (error: unknown) => {
          assert.ok(error instanceof SdpError);
          assert.equal(error.status, 406);
          assert.match(error.message, new RegExp(`payload type ${payloadType} \\(H264\\).*64 to 95.*use 96 to 127, or 35 to 63`));
          return true;
        });
    }
  });

  test('of a viewer are refused in the same way', () => {
    const offer = withVideoAs(72).replaceAll('a=sendonly', 'a=recvonly');
    assert.throws(() => negotiatePull(parseDescription(offer, 'offer'), streamTracks(H264)), /payload type 72 .*64 to 95/);
  });

  test('another codec of the offer is taken in their place', () => {
    const offer = withVideoAs(72)
      .replace(/^(m=video .*) 72/m, '$1 72 97')
      .replace(/^a=rtpmap:72 .*\r\n/m, (line) => `${line}a=rtpmap:97 VP8/90000\r\n`);
    assert.equal(published(offer)[1]!.rtpParameters.codecs[0]!.mimeType, 'video/VP8');
  });
});

describe('a publisher without SSRCs and without MID', () => {
  const bare = (offer: string): string => offer.replace(/^a=(ssrc|ssrc-group|extmap):?.*\r\n/gm, '');

  test('is known by its payload types', () => {
    const tracks = published(bare(offerText('obs-whip')));
    assert.deepEqual(
      tracks.map(({ rtpParameters }) => rtpParameters.encodings),
      [[{}], [{}]],
    );
  });

  test('is refused where two tracks share one', () => {
    const [head = '', audio = ''] = bare(offerText('obs-whip')).split(/(?=m=audio)|(?=m=video)/);
    const twice = head.replace(/a=group:BUNDLE .*\r\n/, 'a=group:BUNDLE 0 1\r\n') + audio + audio.replace('a=mid:0', 'a=mid:1');
    assert.throws(() => published(twice), /a=ssrc missing.*payload type 111 belongs to another section too/);
  });
});
