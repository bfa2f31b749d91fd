import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseFmtp } from '../fmtp.ts';
import { negotiatePull, negotiatePush, parseDescription, SdpError } from '../index.ts';
import { offerText } from '@millrace/testkit/sdp';
import { streamTracks } from '../sdp.fixture.ts';
import { playabilityOf } from './playability.ts';

const [session, audioSection, videoSection] = offerText('werift-whep').split(/(?=m=)/) as [string, string, string];

interface OfferedCodec {
  rtpmap: string;
  fmtp?: string;
}

/** An offer with these video codecs, payload types from 96 on. */
function offerOf(
  video: readonly OfferedCodec[],
  audio: OfferedCodec = { rtpmap: 'opus/48000/2' },
  direction = 'recvonly',
): string {
  const section = (text: string, codecs: readonly OfferedCodec[], first: number): string =>
    text
      .replace(/^m=(\w+ \d+ \S+) .*/, (_, head: string) => `m=${head} ${codecs.map((_codec, i) => first + i).join(' ')}`)
      .replace(/a=(rtpmap|rtcp-fb):.*\r\n/g, '')
      .replace('a=recvonly', `a=${direction}`) +
    codecs
      .map(
        ({ rtpmap, fmtp }, i) =>
          `a=rtpmap:${first + i} ${rtpmap}\r\n${fmtp === undefined ? '' : `a=fmtp:${first + i} ${fmtp}\r\n`}`,
      )
      .join('');
  return session + section(audioSection, [audio], 35) + section(videoSection, video, 96);
}

const playedAs = (stream: { mimeType: string; parameters?: Record<string, string | number> }, offered: readonly OfferedCodec[]) =>
  negotiatePull(parseDescription(offerOf(offered), 'offer'), streamTracks(stream)).sections[1]!.selection!;

const refusal = (
  stream: { mimeType: string; parameters?: Record<string, string | number> },
  offered: readonly OfferedCodec[],
): string => {
  try {
    playedAs(stream, offered);
  } catch (error) {
    assert.ok(error instanceof SdpError && error.status === 406);
    return error.message;
  }
  throw new assert.AssertionError({ message: 'it was not refused' });
};

const h264 = (id: string, more: Record<string, string | number> = {}) => ({
  mimeType: 'video/H264',
  parameters: { 'packetization-mode': 1, 'profile-level-id': id, ...more },
});
const offered264 = (...fmtps: (string | undefined)[]): OfferedCodec[] =>
  fmtps.map((fmtp) => ({ rtpmap: 'H264/90000', ...(fmtp !== undefined ? { fmtp } : {}) }));

/** Chromium's list, without what is not H.264. */
const CHROMIUM = offered264(
  ...['42001f', '42e01f', '4d001f', 'f4001f', '64001f'].flatMap((id) =>
    [1, 0].map((mode) => `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${id}`),
  ),
);

describe('a viewer of H.264', () => {
  for (const id of ['42e01f', '42C01E', '422015', '4d4c28', '640828', '64003c', '422001f', '58801f']) {
    test(`of ${id} may be Chromium`, () =>
      assert.equal(playedAs(h264(id), CHROMIUM).payloadType % 2, 0, 'mode 1 has even numbers here'));
    test(`of ${id} may come without fmtp`, () => assert.equal(playedAs(h264(id), offered264(undefined)).payloadType, 96));
    test(`of ${id} may say no more than packetization-mode`, () =>
      assert.equal(playedAs(h264(id), offered264('packetization-mode=1')).payloadType, 96));
  }

  test('may say no more than its profile, in either case, when its level suffices', () => {
    assert.equal(playedAs(h264('42e01f'), offered264('profile-level-id=42E01F')).payloadType, 96);
    assert.equal(playedAs(h264('42e01f'), offered264('Profile-Level-Id=640028')).payloadType, 96);
  });

  test('takes the nearest of the formats that its decoder takes', () => {
    assert.equal(playedAs(h264('42e01f'), CHROMIUM).payloadType, 98);
    assert.equal(playedAs(h264('4d001f'), CHROMIUM).payloadType, 100);
    assert.equal(playedAs(h264('640028'), CHROMIUM).payloadType, 104);
    assert.equal(playedAs(h264('42e01f', { 'packetization-mode': 0 }), CHROMIUM).payloadType, 99);
  });

  test('exceeds its level only where it allows asymmetry', () => {
    const at = (fmtp: string): number => playedAs(h264('640032'), offered264(fmtp)).payloadType;
    assert.equal(at('profile-level-id=64001f;level-asymmetry-allowed=1;packetization-mode=1'), 96);
    assert.equal(at('profile-level-id=64001f;max-recv-level=0032;packetization-mode=1'), 96);
    assert.equal(at('profile-level-id=640033;packetization-mode=1'), 96);
    assert.match(
      refusal(h264('640032'), offered264('profile-level-id=64001f;packetization-mode=1')),
      /H264 with profile-level-id 640032.*payload type 96 differs in profile-level-id, the stream's is 640032 \(High, level 5\), the offered one 64001f \(High, level 3\.1\), without level-asymmetry-allowed=1/,
    );
  });

  test('is told what differs, with the values of both sides', () => {
    const text = refusal(
      h264('640032'),
      offered264('profile-level-id=42e01f;packetization-mode=1', 'profile-level-id=4d001f;packetization-mode=1'),
    );
    assert.match(
      text,
      /payload type 96 differs in profile-level-id, the stream's is 640032 \(High, level 5\), the offered one 42e01f/,
    );
    assert.match(text, /payload type 97 differs in profile-level-id.* 4d001f \(Main, level 3\.1\), without 8x8 transform/);
    assert.match(
      refusal(h264('42e01f'), offered264('packetization-mode=0')),
      /differs in packetization-mode, the stream's is 1, the offered one 0/,
    );
  });

  test('finds its own format in the answer, and nothing that it did not say', () => {
    const sent = h264('640028', { 'sprop-parameter-sets': 'Z2QAKA==,aO4=' });
    assert.deepEqual(
      playedAs(sent, offered264('profile-level-id=64001f;level-asymmetry-allowed=1;packetization-mode=1')).parameters,
      {
        'sprop-parameter-sets': 'Z2QAKA==,aO4=',
        'profile-level-id': '64001f',
        'level-asymmetry-allowed': 1,
        'packetization-mode': 1,
      },
    );
    assert.deepEqual(playedAs(sent, offered264(undefined)).parameters, { 'sprop-parameter-sets': 'Z2QAKA==,aO4=' });
  });
});

describe('other formats', () => {
  test('VP9 is matched by profile-id, 0 where there is none', () => {
    assert.equal(
      playedAs({ mimeType: 'video/VP9' }, [{ rtpmap: 'vp9/90000', fmtp: 'profile-id=2' }, { rtpmap: 'VP9/90000' }]).payloadType,
      97,
    );
    assert.match(
      refusal({ mimeType: 'video/VP9', parameters: { 'profile-id': 2 } }, [{ rtpmap: 'VP9/90000' }]),
      /differs in profile-id, the stream's is 2, the offered one 0 \(the default\)/,
    );
  });

  test('an AV1 decoder takes profiles, levels and tiers up to its own', () => {
    const offered = [{ rtpmap: 'AV1/90000', fmtp: 'profile=1;level-idx=8;tier=0' }];
    const stream = (parameters: Partial<Record<string, number>>) => ({
      mimeType: 'video/AV1',
      parameters: parameters as Record<string, number>,
    });
    for (const parameters of [{}, { profile: 0 }, { profile: 1, 'level-idx': 8 }, { 'level-idx': 5, tier: 0 }])
      assert.equal(playedAs(stream(parameters), offered).payloadType, 96);
    assert.equal(playedAs(stream({ 'level-idx': 13, tier: 1 }), [{ rtpmap: 'AV1/90000' }]).payloadType, 96);
    assert.match(refusal(stream({ profile: 2 }), offered), /differs in profile, the stream's is 2, the offered one 1/);
    assert.match(refusal(stream({ 'level-idx': 9 }), offered), /differs in level-idx, the stream's is 9, the offered one 8/);
    assert.match(refusal(stream({ tier: 1 }), offered), /differs in tier, the stream's is 1, the offered one 0/);
  });

  for (const rtpmap of ['opus/48000', 'OPUS/48000/1', 'Opus/48000/2']) {
    test(`${rtpmap} is Opus with two channels, and is answered as it was written`, () => {
      const offer = offerOf([{ rtpmap: 'vp8/90000' }], { rtpmap });
      const played = negotiatePull(parseDescription(offer, 'offer'), streamTracks({ mimeType: 'video/VP8' })).sections[0]!
        .selection!;
      assert.equal(played.channels, rtpmap.endsWith('/2') ? 2 : 1);
      const { tracks } = negotiatePush(parseDescription(offerOf([{ rtpmap: 'vp8/90000' }], { rtpmap }, 'sendonly'), 'offer'));
      const { mimeType, channels } = tracks[0]!.rtpParameters.codecs[0]!;
      assert.deepEqual([mimeType, channels], ['audio/opus', 2]);
    });
  }
});

describe('a publisher', () => {
  const publish = (video: readonly OfferedCodec[]) =>
    negotiatePush(parseDescription(offerOf(video, undefined, 'sendonly'), 'offer')).tracks[1]!.rtpParameters.codecs[0]!;

  test('of any H.264 profile is taken, also of one that is misspelt', () => {
    for (const id of ['422001f', '4d4c28', '640828', '64003c', 'F40028', '530028'])
      assert.equal(publish(offered264(`packetization-mode=1;profile-level-id=${id}`)).mimeType, 'video/H264');
  });

  test('of interleaved H.264 is told that it is not relayed', () => {
    assert.throws(() => publish(offered264('packetization-mode=2')), /H264 with packetization-mode 2 is not relayed; use 0 or 1/);
  });

  test('with a payload type that looks like RTCP is told so', () => {
    const offer = offerOf([{ rtpmap: 'VP8/90000' }], undefined, 'sendonly').replace(/(SAVPF |rtpmap:)96/g, '$172');
    assert.throws(() => negotiatePush(parseDescription(offer, 'offer')), /payload type 72 \(VP8\) .*cannot be told from RTCP/);
  });

  test('of H.265 is told what to send', () => {
    assert.throws(
      () => publish([{ rtpmap: 'H265/90000' }]),
      /no codec that is supported among H265; offer one of H264, VP8, VP9, AV1/,
    );
  });

  test('of a format that few viewers can play is told so', () => {
    const of = (mimeType: string, parameters: Record<string, string | number>): string | undefined =>
      playabilityOf({ mimeType, parameters });
    for (const id of ['42e01f', '4d4c28', '640034', '640c1f'])
      assert.equal(of('video/H264', { 'profile-level-id': id }), undefined);
    assert.match(
      of('video/H264', { 'profile-level-id': 'f40028' })!,
      /High 4:4:4 Predictive.*few viewers \(10 bit, 4:2:2, 4:4:4\)/,
    );
    assert.match(of('video/H264', { 'profile-level-id': '64003c' })!, /level 6.*stay within level 5\.2/);
    assert.match(of('video/H264', { 'profile-level-id': '422001f' })!, /422001f is not three bytes in hexadecimal/);
    assert.match(of('video/VP9', { 'profile-id': 1 })!, /profile-id 1/);
    assert.match(of('video/AV1', { profile: 2 })!, /profile 2/);
    assert.equal(of('video/VP8', {}), undefined);
  });
});

describe('a=fmtp', () => {
  test('is read whatever it is, in time that grows with its length', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 400 }), fc.stringMatching(/^([a-z=; ]|__proto__){0,40}$/)), (text) => {
        for (const [name, value] of Object.entries(parseFmtp(text))) {
          assert.equal(name, name.toLowerCase());
          assert.ok(typeof value === 'number' ? Number.isSafeInteger(value) : value.length <= text.length);
        }
      }),
    );
    assert.deepEqual(parseFmtp('Profile-Level-ID = 640028 ; packetization-mode=1;sprop-parameter-sets=Z2Q=,aO4=;x'), {
      'profile-level-id': '640028',
      'packetization-mode': 1,
      'sprop-parameter-sets': 'Z2Q=,aO4=',
      x: '',
    });
  });
});
