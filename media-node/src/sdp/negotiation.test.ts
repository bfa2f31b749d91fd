import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  negotiatePull,
  negotiatePush,
  offerPull,
  parseDescription,
  readPullAnswer,
  SdpError,
  writeAnswer,
  writeOffer,
} from './index.ts';
import { offerNames, offerText } from '@millrace/testkit/sdp';
import { goldenAnswer, localTransport, streamTracks } from './sdp.fixture.ts';

const identity = { sessionId: '1', version: 1 };
const AV1 = { mimeType: 'video/AV1' };
const H264 = { mimeType: 'video/H264', parameters: { 'packetization-mode': 1, 'profile-level-id': '42e01f' } };

function answerOf(name: string): string {
  const offer = parseDescription(offerText(name), 'offer');
  const transport = { ...localTransport, setup: offer.setup === 'passive' ? ('active' as const) : ('passive' as const) };
  if (name.includes('whip')) return writeAnswer(identity, transport, negotiatePush(offer).answer);
  const tracks = streamTracks({ mimeType: 'video/VP8' });
  const sections = negotiatePull(offer, tracks).sections.map(({ mid, line, selection }) =>
    selection
      ? {
          mid,
          kind: selection.kind,
          direction: 'sendonly' as const,
          codecs: [
            {
              ...tracks[selection.track]!.codec,
              payloadType: selection.payloadType,
              parameters: selection.parameters,
              rtcpFeedback: selection.rtcpFeedback,
            },
          ],
          extensions: selection.extensions,
          sent: { ssrc: 3000 + selection.track, cname: 'live.demo', msid: `live.demo ${selection.kind}` },
        }
      : { mid, rejectedLine: line },
  );
  return writeAnswer(identity, transport, sections);
}

/** The offer of a browser whose codecs the app has set to this one alone. */
function onlyWith(name: string, codec: string): string {
  const offer = offerText(name);
  const payloadType = new RegExp(`a=rtpmap:(\\d+) ${codec}/`).exec(offer)![1]!;
  return offer.replace(/(m=video \S+ \S+) .*(?=\r)/, `$1 ${payloadType}`);
}

describe('answers to real clients', () => {
  // UPDATE_GOLDEN=1 writes what is made now; read the difference before committing it.
  for (const name of offerNames) {
    test(`${name} gets the answer in testdata/${name}.answer.sdp`, () => {
      const answer = answerOf(name).replaceAll('\r\n', '\n');
      const golden = goldenAnswer(name);
      if (process.env['UPDATE_GOLDEN'] === '1' || !existsSync(golden)) writeFileSync(golden, answer);
      assert.equal(answer, readFileSync(golden, 'utf8'));
    });
  }
});

describe('a publisher', () => {
  test('with rid simulcast becomes one producer with a layer for each rid, lowest first', () => {
    const { tracks } = negotiatePush(parseDescription(offerText('chromium-whip-simulcast'), 'offer'));
    assert.deepEqual(
      tracks[1]!.rtpParameters.encodings?.map(({ rid }) => rid),
      ['q', 'h', 'f'],
    );
  });

  for (const codec of ['VP9', 'AV1']) {
    for (const browser of ['firefox', 'chromium']) {
      test(`with rid simulcast of ${codec} from ${browser} is asked for its best layer alone: the media worker forwards no more`, () => {
        const { tracks, answer } = negotiatePush(parseDescription(onlyWith(`${browser}-whip-simulcast`, codec), 'offer'));
        const { codecs, encodings, headerExtensions } = tracks[1]!.rtpParameters;
        assert.equal(codecs[0]!.mimeType, `video/${codec}`);
        assert.deepEqual(encodings, [{}]);
        assert.ok(!headerExtensions!.some(({ uri }) => uri.endsWith('rtp-stream-id')), 'the worker does not look at rids');
        assert.match(writeAnswer(identity, localTransport, answer), /a=rid:f recv\r\na=simulcast:recv f\r\n/);
      });
    }
  }

  test('that lists layers from best to worst under well-known names has them turned round', () => {
    const text = offerText('chromium-whip-simulcast').replace(/a=simulcast:send .*\r\n/, 'a=simulcast:send f;h;q\r\n');
    const { tracks, answer } = negotiatePush(parseDescription(text, 'offer'));
    assert.deepEqual(
      tracks[1]!.rtpParameters.encodings?.map(({ rid }) => rid),
      ['q', 'h', 'f'],
    );
    const video = answer[1]!;
    assert.deepEqual('receivedRids' in video && video.receivedRids, ['f', 'h', 'q']);
  });

  for (const [listed, lowestFirst] of [
    ['0;1;2', ['2', '1', '0']],
    ['2;0;1', ['2', '1', '0']],
    ['high;middle;low', ['low', 'middle', 'high']],
    ['large;small', ['small', 'large']],
    ['a;b;c', ['a', 'b', 'c']],
  ] as const) {
    test(`that lists layers ${listed} is taken to have them, lowest first, as ${lowestFirst.join(', ')} until packets tell`, () => {
      const text = offerText('chromium-whip-simulcast')
        .replace(/a=rid:.*\r\n/g, '')
        .replace(/a=simulcast:send .*\r\n/, `a=simulcast:send ${listed}\r\n`)
        .concat(...listed.split(';').map((rid) => `a=rid:${rid} send\r\n`));
      const { tracks } = negotiatePush(parseDescription(text, 'offer'));
      assert.deepEqual(
        tracks[1]!.rtpParameters.encodings?.map(({ rid }) => rid),
        lowestFirst,
      );
    });
  }

  test('with resolution limits on its rids has its layers ordered by them', () => {
    const text = offerText('chromium-whip-simulcast')
      .replace(/a=rid:q send/, 'a=rid:q send max-height=720')
      .replace(/a=rid:h send/, 'a=rid:h send max-height=180')
      .replace(/a=rid:f send/, 'a=rid:f send max-height=360');
    const { tracks } = negotiatePush(parseDescription(text, 'offer'));
    assert.deepEqual(
      tracks[1]!.rtpParameters.encodings?.map(({ rid }) => rid),
      ['h', 'f', 'q'],
    );
  });

  test('with an a=ssrc-group:SIM becomes one layer for each SSRC, with its repair stream', () => {
    const offer = offerText('firefox-whip');
    const [first, repair] = /a=ssrc-group:FID (\d+) (\d+)/.exec(offer)!.slice(1).map(Number) as [number, number];
    const text = offer.concat(`a=ssrc:11 cname:x\r\na=ssrc-group:SIM ${first} 11\r\na=ssrc-group:FID 11 12\r\n`);
    const { tracks } = negotiatePush(parseDescription(text, 'offer'));
    assert.deepEqual(tracks[1]!.rtpParameters.encodings, [
      { ssrc: first, rtx: { ssrc: repair } },
      { ssrc: 11, rtx: { ssrc: 12 } },
    ]);
  });

  test('with more SIM layers than a trunk carries is refused, naming them', () => {
    const [first] = /a=ssrc-group:FID (\d+)/.exec(offerText('firefox-whip'))!.slice(1);
    const offer = (layers: number): string => {
      const others = Array.from({ length: layers - 1 }, (_, i) => 11 + i);
      const lines = others.map((ssrc) => `a=ssrc:${ssrc} cname:x\r\n`).join('');
      return offerText('firefox-whip').concat(lines, `a=ssrc-group:SIM ${first} ${others.join(' ')}\r\n`);
    };
    assert.equal(negotiatePush(parseDescription(offer(8), 'offer')).tracks[1]!.rtpParameters.encodings!.length, 8);
    assert.throws(() => negotiatePush(parseDescription(offer(9), 'offer')), /ssrc-group:SIM .*9 layers; at most 8/);
  });

  test('that is the DTLS server (FFmpeg) makes us the client', () => {
    const offer = parseDescription(offerText('ffmpeg-whip'), 'offer');
    assert.equal(offer.dtls.role, 'server');
    assert.match(answerOf('ffmpeg-whip'), /a=setup:active/);
  });

  test('of H.264 is asked for packetization-mode 1 when it can do both', () => {
    // 104 has packetization-mode 0, 102 the same profile with 1.
    const text = offerText('chromium-whip').replace(/(m=video \S+ \S+) 96 97 102 103 104/, '$1 104 102 103 96 97');
    const { tracks } = negotiatePush(parseDescription(text, 'offer'));
    assert.equal(tracks[1]!.rtpParameters.codecs[0]!.payloadType, 102);
  });

  test('that announces stereo is told that stereo is welcome', () => {
    assert.match(answerOf('obs-whip'), /a=fmtp:111 .*stereo=1/);
  });

  test('of a data channel besides media has that section refused', () => {
    const text = offerText('obs-whip')
      .replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0 1 2')
      .concat('m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n');
    const { answer } = negotiatePush(parseDescription(text, 'offer'));
    const written = writeAnswer(identity, localTransport, answer);
    assert.match(written, /m=application 0 UDP\/DTLS\/SCTP webrtc-datachannel/);
    assert.match(written, /a=group:BUNDLE 0 1\r\n/);
  });
});

describe('a viewer', () => {
  test('gets the stream under its own payload types', () => {
    const { sections } = negotiatePull(parseDescription(offerText('firefox-whep'), 'offer'), streamTracks(AV1));
    assert.deepEqual(
      sections.map(({ selection }) => selection?.payloadType),
      [109, 99],
    );
  });

  test('agrees on those header extensions that both number alike', () => {
    const { sections } = negotiatePull(parseDescription(offerText('firefox-whep'), 'offer'), streamTracks(AV1));
    assert.deepEqual(sections[1]!.selection?.extensions, [
      { uri: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time', id: 4 },
    ]);
    assert.ok(sections[1]!.selection?.rtcpFeedback.some((fb) => fb.type === 'goog-remb'));
    assert.ok(!sections[1]!.selection?.rtcpFeedback.some((fb) => fb.type === 'transport-cc'));
  });

  test('of a baseline-only decoder takes a constrained-baseline stream', () => {
    const text = offerText('chromium-whep').replaceAll('profile-level-id=42e01f', 'profile-level-id=42001f');
    const { sections } = negotiatePull(parseDescription(text, 'offer'), streamTracks(H264));
    assert.equal(sections[1]!.selection?.payloadType, 102);
  });

  test('that cannot decode the stream is told what it would need', () => {
    const high = { mimeType: 'video/H264', parameters: { 'packetization-mode': 1, 'profile-level-id': '640032' } };
    assert.throws(
      () => negotiatePull(parseDescription(offerText('firefox-whep'), 'offer'), streamTracks(high)),
      (error: unknown) =>
        error instanceof SdpError && error.status === 406 && /H264 with profile-level-id 640032/.test(error.message),
    );
  });

  test('that offers only video gets only video', () => {
    const text = offerText('chromium-whep');
    const [session, , video] = text.split(/(?=m=)/);
    const { sections } = negotiatePull(
      parseDescription(`${session!.replace('BUNDLE 0 1', 'BUNDLE 1')}${video}`, 'offer'),
      streamTracks({ mimeType: 'video/VP9' }),
    );
    assert.deepEqual(
      sections.map(({ selection }) => selection?.kind),
      ['video'],
    );
  });

  test('may take less than it was offered', () => {
    const tracks = streamTracks({ mimeType: 'video/VP8' });
    const offered = offerPull(tracks, new Map([[0, { payloadType: 100 }], [1, { payloadType: 101, rtxPayloadType: 102 }]])); // prettier-ignore
    const offer = writeOffer(
      identity,
      localTransport,
      offered.map((selection) => ({
        mid: selection.mid,
        kind: selection.kind,
        direction: 'sendonly',
        codecs: [tracks[selection.track]!.codec],
        extensions: selection.extensions,
      })),
    );
    assert.match(offer, /a=setup:actpass/);
    const answer = offer
      .replaceAll('a=setup:actpass', 'a=setup:active')
      .replaceAll('a=sendonly', 'a=recvonly')
      .replace(/m=audio 9/, 'm=audio 0');
    const taken = readPullAnswer(offered, tracks, parseDescription(answer, 'answer'));
    assert.deepEqual(
      taken.map(({ track, rtxPayloadType }) => [track, rtxPayloadType]),
      [[1, undefined]],
    );
  });
});
