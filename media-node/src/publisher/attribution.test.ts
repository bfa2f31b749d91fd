import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { attribute, type Suspect, type SuspectTrack } from './attribution.ts';
import { UnclaimedLog, type UnclaimedPackets } from './unclaimed.ts';

const NOTHING: UnclaimedPackets = { unknown: [], refusedSsrcs: [], unknownPayloadTypes: [], undecryptable: [] };

const track = (index: number, more: Partial<SuspectTrack> = {}): SuspectTrack => ({
  track: index,
  payloadType: 96 + index,
  rtxPayloadType: undefined,
  ssrcs: [1000 + index],
  bySsrc: true,
  byName: false,
  isFlowing: false,
  ...more,
});
const suspect = (tracks: SuspectTrack[], more: Partial<Suspect> = {}): Suspect => ({
  tracks,
  isPlain: true,
  isEncrypted: false,
  tried: new Set(),
  ...more,
});
const unknown = (...packets: [ssrc: number, payloadType: number][]): UnclaimedPackets => ({
  ...NOTHING,
  unknown: packets.map(([ssrc, payloadType]) => ({ ssrc, payloadType, packets: 1 })),
});

describe('an SSRC is learned', () => {
  test('for each track that has the payload type alone', () => {
    const { remedies } = attribute(suspect([track(0), track(1)]), unknown([7, 96], [8, 97]), []);
    assert.deepEqual(remedies, [
      { track: 0, ssrc: 7 },
      { track: 1, ssrc: 8 },
    ]);
  });

  const refused: [name: string, suspect: Suspect, seen: UnclaimedPackets][] = [
    ['of a track whose own SSRC comes', suspect([track(0, { isFlowing: true })]), unknown([7, 96])],
    ['where two tracks have the payload type', suspect([track(0), track(1, { payloadType: 96 })]), unknown([7, 96])],
    ['of simulcast by SSRC', suspect([track(0, { bySsrc: false })]), unknown([7, 96])],
    ['where two come', suspect([track(0)]), unknown([7, 96], [8, 96])],
    ['that was tried in vain', suspect([track(0)], { tried: new Set([7]) }), unknown([7, 96])],
    ['of another payload type', suspect([track(0)]), unknown([7, 100])],
  ];
  for (const [name, of, seen] of refused) {
    test(`not ${name}`, () => assert.deepEqual(attribute(of, seen, []).remedies, []));
  }

  test('by trial, one after another, where several publishers of a worker are suspected', () => {
    const seen = unknown([7, 96], [8, 96]);
    assert.deepEqual(attribute(suspect([track(0)]), seen, [suspect([track(0)])]).remedies, [{ track: 0, ssrc: 7 }]);
    const next = suspect([track(0)], { tried: new Set([7]) });
    assert.deepEqual(attribute(next, seen, [suspect([track(0)])]).remedies, [{ track: 0, ssrc: 8 }]);
  });

  test('by MID or RID where the worker found the track by it and refused the SSRC', () => {
    const named = suspect([track(0, { byName: true }), track(1, { byName: true, isFlowing: true })]);
    assert.deepEqual(attribute(named, { ...NOTHING, refusedSsrcs: [7] }, []).remedies, [{ track: 0 }]);
  });
});

describe('what is reported', () => {
  const cases: [name: string, suspect: Suspect, seen: UnclaimedPackets, others: Suspect[], finding: object | undefined][] = [
    ['an unknown SSRC', suspect([track(0)]), unknown([7, 96], [8, 96]), [], { kind: 'ssrc', ssrc: 7, payloadType: 96 }],
    ['an unknown payload type', suspect([track(0)]), unknown([7, 100]), [], { kind: 'payload-type', payloadType: 100, ssrc: 7 }],
    [
      'another payload type under the announced SSRC',
      suspect([track(0)]),
      { ...NOTHING, refusedSsrcs: [1000] },
      [],
      { kind: 'payload-type', ssrc: 1000 },
    ],
    [
      'a payload type that changed on the way',
      suspect([track(0, { isFlowing: true })]),
      { ...NOTHING, unknownPayloadTypes: [99] },
      [],
      { kind: 'payload-type', payloadType: 99 },
    ],
    ['another key', suspect([track(0)], { isEncrypted: true }), { ...NOTHING, undecryptable: [7] }, [], { kind: 'srtp' }],
    ['bytes that the worker did not look at', suspect([track(0)]), NOTHING, [], { kind: 'no-rtp' }],
    [
      'nothing of what is another publisher’s',
      suspect([track(0, { isFlowing: true })]),
      unknown([7, 100]),
      [suspect([track(0, { payloadType: 100 })])],
      undefined,
    ],
    ['nothing of an SSRC that it announced itself', suspect([track(0)]), unknown([1000, 96]), [], undefined],
  ];
  for (const [name, of, seen, others, finding] of cases) {
    test(`is ${name}`, () => assert.deepEqual(attribute(of, seen, others).finding, finding));
  }
});

describe('the worker’s log', () => {
  test('is read by what it says of unclaimed packets', () => {
    const log = new UnclaimedLog();
    for (const line of [
      'RTC::Transport::ReceiveRtpPacket() | no suitable Producer for received RTP packet [ssrc:7, payloadType:96]',
      'RTC::Transport::ReceiveRtpPacket() | no suitable Producer for received RTP packet [ssrc:7, payloadType:96]',
      'RTC::Producer::ReceiveRtpPacket() | no stream found for received packet [ssrc:4294967295]',
      'RTC::Producer::MangleRtpPacket() | unknown payload type [payloadType:97]',
      'RTC::PlainTransport::OnRtpDataReceived() | DecryptSrtp() failed [ssrc:9, payloadType:96, seq:1]',
    ])
      log.add(line);
    assert.deepEqual(log.packets(), {
      unknown: [{ ssrc: 7, payloadType: 96, packets: 2 }],
      refusedSsrcs: [4294967295],
      unknownPayloadTypes: [97],
      undecryptable: [9],
    });
  });

  test('may hold anything; what is kept of it is bounded', () => {
    const words = fc.constantFrom(
      'no suitable Producer for received RTP packet [ssrc:',
      ', payloadType:',
      'no stream found for received packet [ssrc:',
      ']',
    );
    const line = fc.array(fc.oneof(words, fc.string(), fc.nat().map(String))).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 200 }), (lines) => {
        const log = new UnclaimedLog();
        for (const each of lines) log.add(each);
        for (const kept of Object.values(log.packets()) as unknown[][]) assert.ok(kept.length <= 16);
      }),
    );
  });
});
