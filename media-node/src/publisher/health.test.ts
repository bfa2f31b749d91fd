import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { adviceFor } from './advice.ts';
import {
  judge,
  MAX_PAUSE_MS,
  MAX_SILENCE_MS,
  MAX_UNUSABLE_MS,
  MAX_UNUSED_MS,
  releaseOf,
  silenceOf,
  STALE_MS,
  type Finding,
  type PublisherHealth,
  type PublisherSample,
  type TrackSample,
} from './health.ts';

/** What a publisher does in one second. */
interface Second {
  connected?: boolean;
  bytes?: number;
  /** Packets that the worker takes, and that pass the gate. */
  video?: [received: number, passed: number];
  audio?: [received: number, passed: number];
  finding?: Finding;
}

/** Plays the seconds from `before` on; each second's sample is judged at its end. */
function play(seconds: readonly Second[]): PublisherHealth[] {
  const totals = { bytes: 0, video: [0, 0], audio: [0, 0] };
  let health: PublisherHealth | undefined;
  return seconds.map((second, index) => {
    const { connected = true, bytes = 1000, video = [0, 0], audio = [0, 0] } = second;
    totals.bytes += bytes;
    totals.video = totals.video.map((total, i) => total + video[i]!);
    totals.audio = totals.audio.map((total, i) => total + audio[i]!);
    const track = (kind: 'audio' | 'video', index: number): TrackSample => ({
      track: index,
      kind,
      received: totals[kind][0]!,
      passed: totals[kind][1]!,
    });
    const sample: PublisherSample = {
      connected,
      bytes: totals.bytes,
      tracks: [track('audio', 0), track('video', 1)],
      ...(second.finding ? { finding: second.finding } : {}),
    };
    health = judge(health, sample, { heardMs: index * 1000, wallMs: 5_000_000 + index * 1000 });
    return health;
  });
}

const repeat = (count: number, second: Second): Second[] => Array.from({ length: count }, () => second);
const last = (seconds: readonly Second[]): PublisherHealth => play(seconds).at(-1)!;
const GOOD: Second = { audio: [50, 50], video: [30, 30] };
const SETTLE = STALE_MS / 1000;

describe('a publisher is', () => {
  const cases: { name: string; seconds: Second[]; state: string; tracks?: string[] }[] = [
    { name: 'connecting before it is connected', seconds: repeat(20, { connected: false, bytes: 0 }), state: 'Connecting' },
    { name: 'connecting while it has only just begun', seconds: repeat(SETTLE, { video: [30, 0] }), state: 'Connecting' },
    {
      name: 'receiving as soon as a packet passes the gate',
      seconds: [GOOD],
      state: 'Receiving',
      tracks: ['Receiving', 'Receiving'],
    },
    {
      name: 'waiting for a keyframe when video arrives and nothing passes',
      seconds: repeat(SETTLE + 1, { audio: [50, 50], video: [30, 0] }),
      state: 'WaitingForKeyframe',
      tracks: ['Receiving', 'WaitingForKeyframe'],
    },
    {
      name: 'waiting for a keyframe when the gate closes later on',
      seconds: [...repeat(10, GOOD), ...repeat(SETTLE + 1, { audio: [50, 50], video: [30, 0] })],
      state: 'WaitingForKeyframe',
    },
    {
      name: 'without a known SSRC when packets belong to no track',
      seconds: repeat(SETTLE + 1, { finding: { kind: 'ssrc', ssrc: 7 } }),
      state: 'NoKnownSsrc',
    },
    {
      name: 'without a known SSRC when one of its tracks does',
      seconds: repeat(SETTLE + 1, { audio: [50, 50], finding: { kind: 'ssrc', ssrc: 7 } }),
      state: 'NoKnownSsrc',
      tracks: ['Receiving', 'NoKnownSsrc'],
    },
    {
      name: 'receiving although packets of no track arrive beside all of its tracks',
      seconds: repeat(SETTLE + 1, { ...GOOD, finding: { kind: 'ssrc', ssrc: 7 } }),
      state: 'Receiving',
    },
    {
      name: 'of an unknown payload type, also where the SSRC is known',
      seconds: repeat(SETTLE + 1, { audio: [50, 50], video: [30, 0], finding: { kind: 'payload-type', payloadType: 99 } }),
      state: 'UnknownPayloadType',
    },
    { name: 'unreadable', seconds: repeat(SETTLE + 1, { finding: { kind: 'srtp' } }), state: 'Unreadable' },
    {
      name: 'silent when connected and nothing of it is media',
      seconds: repeat(SETTLE + 1, { bytes: 100 }),
      state: 'Silent',
    },
    {
      name: 'receiving with one track muted',
      seconds: repeat(60, { audio: [0, 0], video: [30, 30] }),
      state: 'Receiving',
      tracks: ['Silent', 'Receiving'],
    },
    {
      name: 'receiving when it sends a packet now and then',
      seconds: Array.from({ length: 60 }, (_, at) => (at % 8 === 0 ? { video: [1, 1] } : {})),
      state: 'Receiving',
    },
    {
      name: 'silent when an old finding is all there is',
      seconds: [
        ...repeat(5, { finding: { kind: 'ssrc', ssrc: 7 } }),
        ...repeat(20, { bytes: 0, finding: { kind: 'ssrc', ssrc: 7 } }),
      ],
      state: 'Silent',
    },
  ];
  for (const { name, seconds, state, tracks } of cases) {
    test(name, () => {
      const health = last(seconds);
      assert.equal(health.state, state);
      if (tracks)
        assert.deepEqual(
          health.tracks.map((track) => track.state),
          tracks,
        );
    });
  }

  test('silent only after the longest pause that a track may make', () => {
    const states = play([...repeat(5, GOOD), ...repeat(30, { bytes: 50 })]).map(({ state }) => state);
    assert.equal(states.indexOf('Silent'), 4 + MAX_PAUSE_MS / 1000 + 1);
  });

  test('receiving again, with the time when that began', () => {
    const health = last([...repeat(10, { video: [30, 0] }), ...repeat(5, GOOD)]);
    assert.deepEqual([health.state, health.sinceMs], ['Receiving', 5_010_000]);
  });
});

describe('a name is released', () => {
  const due = (seconds: readonly Second[], mayBeMuted = false) => releaseOf(last(seconds), { mayBeMuted });

  test('30 s after creation when not a byte came', () => {
    assert.deepEqual(due(repeat(20, { bytes: 0 })), { dueMs: MAX_UNUSED_MS, reason: 'the publisher never sent anything' });
  });

  test('10 s after the last byte', () => {
    const release = due([...repeat(5, GOOD), ...repeat(7, { bytes: 0 })]);
    assert.deepEqual(release, { dueMs: 4000 + MAX_SILENCE_MS, reason: 'the publisher fell silent' });
  });

  test('60 s after the last packet that passed, when all that comes is of no use', () => {
    const release = due([...repeat(5, GOOD), ...repeat(55, { video: [30, 0] })]);
    assert.deepEqual(release, {
      dueMs: 4000 + MAX_UNUSABLE_MS,
      reason: 'the publisher sent no keyframe that a viewer could start from',
    });
  });

  test('60 s after it connected, when only packets of an unknown SSRC came', () => {
    const finding: Finding = { kind: 'ssrc', ssrc: 7 };
    const release = due([...repeat(2, { connected: false, bytes: 0 }), ...repeat(58, { finding })]);
    assert.deepEqual(release, {
      dueMs: 2000 + MAX_UNUSABLE_MS,
      reason: 'the publisher sent packets of an SSRC that belongs to no track',
    });
  });

  test('not while one track is of use', () => {
    const release = due(repeat(200, { audio: [50, 50], video: [30, 0] }));
    assert.ok(release.dueMs > 200_000, 'only by silence');
  });

  test('not of a muted publisher whose ICE consent shows that it lives', () => {
    assert.ok(due(repeat(200, { bytes: 60 }), true).dueMs > 200_000);
    assert.equal(due(repeat(60, { bytes: 60 }), false).reason, 'the publisher never sent media');
  });

  test('after a silence whose length and end are told once it is longer than a usual pause', () => {
    const health = last([...repeat(5, GOOD), ...repeat(2, { bytes: 0 })]);
    assert.equal(silenceOf(health, 6000, { mayBeMuted: false }), undefined);
    assert.deepEqual(silenceOf(health, 8000, { mayBeMuted: false }), { forMs: 4000, freeInMs: 6000 });
  });

  test('not before the shortest of the bounds, and always at some time', () => {
    const packets = fc.tuple(fc.nat(50), fc.nat(50)).map(([a, b]): [number, number] => [Math.max(a, b), Math.min(a, b)]);
    const second = fc.record({ connected: fc.boolean(), bytes: fc.nat(2000), video: packets, audio: packets });
    fc.assert(
      fc.property(fc.array(second, { minLength: 1, maxLength: 80 }), fc.boolean(), (seconds, mayBeMuted) => {
        const nowMs = (seconds.length - 1) * 1000;
        const health = last(seconds);
        const release = releaseOf(health, { mayBeMuted });

        assert.ok(release.dueMs <= nowMs + MAX_UNUSED_MS);
        if (health.tracks.some(({ passed }) => passed.grewAtMs === nowMs)) assert.ok(release.dueMs > nowMs);
      }),
    );
  });
});

describe('the advice', () => {
  const announced = [
    { track: 0, kind: 'audio' as const, mimeType: 'audio/opus', payloadType: 111, ssrcs: [1111] },
    { track: 1, kind: 'video' as const, mimeType: 'video/H264', payloadType: 96, ssrcs: [2222] },
  ];
  const cases: [name: string, second: Second, text: RegExp][] = [
    [
      'names both SSRCs',
      { audio: [50, 50], finding: { kind: 'ssrc', ssrc: 7777, payloadType: 96 } },
      /SSRC 7777 \(payload type 96\).*announced: 2222\./,
    ],
    [
      'names the payload types',
      { finding: { kind: 'payload-type', payloadType: 99 } },
      /payload type 99, .*111 \(audio\/opus\), 96 \(video\/H264\)/,
    ],
    [
      'asks for keyframes with parameter sets',
      { audio: [50, 50], video: [30, 0] },
      /^Track 1 \(video\/H264\) arrives without a keyframe.*SPS and PPS in band/,
    ],
    ['names the key', { finding: { kind: 'srtp' } }, /SRTP key/],
    ['names the address', { finding: { kind: 'no-rtp' } }, /address and port/],
    ['names the encoder', {}, /Start or unmute/],
  ];
  for (const [name, second, text] of cases) {
    test(name, () => assert.match(adviceFor(last(repeat(SETTLE + 1, second)), announced) ?? '', text));
  }
  test('is silent when nothing is wrong', () => assert.equal(adviceFor(last([GOOD]), announced), undefined));
});
