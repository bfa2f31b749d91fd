import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { offerText } from '@millrace/testkit/sdp';
import { eventually, sessionUrl, startTestNode, type TestNode } from './node.fixture.ts';
import { newPlayer, newPublisher, type Publisher } from '@millrace/testkit/webrtc';

const SDP = { 'content-type': 'application/sdp' };
const JSON_TYPE = { 'content-type': 'application/json' };

/** Payload types that may be dynamic beside RTCP on one port (RFC 5761 section 4, RFC 8866 section 8.2.3). */
const PAYLOAD_TYPES = [...range(96, 127), ...range(35, 63)];

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

interface Numbers {
  audio: number;
  video: number;
  rtx?: number;
  videoFirst: boolean;
}

/** A viewer's offer with these payload types, its sections in this order. */
function offerWith({ audio, video, rtx, videoFirst }: Numbers): string {
  const [session, audioSection, videoSection] = offerText('werift-whep').split(/(?=m=)/) as [string, string, string];
  const repair = rtx === undefined ? '' : `a=rtpmap:${rtx} rtx/90000\r\na=fmtp:${rtx} apt=${video}\r\n`;
  const sections = [
    audioSection.replace(/(SAVPF |rtpmap:)111/g, `$1${audio}`),
    videoSection
      .replace(/(SAVPF |rtpmap:|rtcp-fb:)96/g, `$1${video}`)
      .replace(/(SAVPF \d+)/, `$1${rtx === undefined ? '' : ` ${rtx}`}`)
      .concat(repair),
  ];
  return session + (videoFirst ? sections.reverse() : sections).join('');
}

const viewers = fc
  .record({
    numbers: fc.uniqueArray(fc.constantFrom(...PAYLOAD_TYPES), { minLength: 3, maxLength: 3 }),
    repairs: fc.boolean(),
    videoFirst: fc.boolean(),
  })
  .map(({ numbers: [audio, video, rtx], repairs, videoFirst }): Numbers => ({
    audio: audio!,
    video: video!,
    ...(repairs ? { rtx: rtx! } : {}),
    videoFirst,
  }));

describe('viewers with payload types of their own', { timeout: 120_000 }, () => {
  for (const publishedFirst of ['audio', 'video'] as const) {
    describe(`of a stream whose first track is ${publishedFirst}`, () => {
      let node: TestNode;
      let publisher: Publisher;

      before(async () => {
        node = await startTestNode();
        publisher = await newPublisher({ videoFirst: publishedFirst === 'video' });
        const response = await fetch(`${node.url}/whip/live/demo`, { method: 'POST', headers: SDP, body: publisher.offer });
        assert.equal(response.status, 201, await response.clone().text());
        await publisher.accept(await response.text());
        await eventually('the publisher sends', () => publisher.sent.video > 5);
      });

      after(async () => {
        await publisher.close();
        await node.close();
      });

      const ask = (numbers: Numbers): Promise<Response> =>
        fetch(`${node.url}/whep/live/demo`, { method: 'POST', headers: SDP, body: offerWith(numbers) });

      test('are answered with these, whatever they are and in whatever order', async () => {
        const open: string[] = [];
        const check = async (numbers: Numbers): Promise<void> => {
          const response = await ask(numbers);
          const answer = await response.text();
          assert.equal(response.status, 201, answer);
          open.push(sessionUrl(response));
          const lines = [...answer.matchAll(/^m=(audio|video) \d+ \S+ (\d+)/gm)].map(([, kind, number]) => [
            kind,
            Number(number),
          ]);
          const expected = [
            ['audio', numbers.audio],
            ['video', numbers.video],
          ];
          assert.deepEqual(lines, numbers.videoFirst ? expected.reverse() : expected);
          const repairs = /a=rtpmap:(\d+) rtx/.exec(answer)?.[1];
          if (repairs !== undefined) assert.equal(Number(repairs), numbers.rtx);
          if (numbers.rtx !== undefined && numbers.rtx >= 96) assert.ok(repairs, 'a dynamic number is served with repair');
        };
        // The pair that took the router's own numbers crosswise.
        await check({ audio: 100, video: 101, videoFirst: true });
        await check({ audio: 101, video: 100, rtx: 102, videoFirst: false });
        // All of them at once: none is turned away because of those before.
        await fc.assert(fc.asyncProperty(viewers, check), { numRuns: 40 });
        const served = node.hub.served[0]!;
        assert.equal(served.viewers, open.length);
        for (const each of open) assert.equal((await fetch(each, { method: 'DELETE' })).status, 200);
        await eventually('nothing is served', () => node.hub.served.length === 0);
      });

      test('share a feed where their numbers are the same, and its end is that of its last viewer', async () => {
        const numbers: Numbers = { audio: 40, video: 41, videoFirst: false };
        const locations: string[] = [];
        const opened = async (wanted: Numbers): Promise<string> => {
          const response = await ask(wanted);
          assert.equal(response.status, 201, await response.text());
          locations.push(sessionUrl(response));
          return sessionUrl(response);
        };
        const first = await opened(numbers);
        const served = await node.hub.withStream('live/demo', (state) => node.hub.distribute(state));
        assert.equal(served.feeds, 2);
        await opened({ ...numbers, videoFirst: true });
        assert.equal(served.feeds, 2);
        const other = await opened({ ...numbers, video: 42 });
        assert.equal(served.feeds, 3, 'one more for the video, none for the audio');
        await fetch(other, { method: 'DELETE' });
        assert.equal(served.feeds, 2);
        await fetch(first, { method: 'DELETE' });
        assert.equal(served.feeds, 2);
        await fetch(locations[1]!, { method: 'DELETE' });
        await eventually('nothing is served', () => node.hub.served.length === 0);
      });

      test('get media under them, the first of a number and those after it', async (t) => {
        const players = await Promise.all(
          [
            { numbers: { audio: 100, video: 101 }, videoFirst: true },
            { numbers: { audio: 101, video: 100 }, videoFirst: false },
            { numbers: { audio: 35, video: 63 }, videoFirst: true },
            { numbers: { audio: 127, video: 96 }, videoFirst: false },
            { numbers: { audio: 96, video: 127 }, videoFirst: false },
            { numbers: { audio: 35, video: 101 }, videoFirst: false },
          ].map(async (options) => ({ ...options, player: await newPlayer(undefined, options) })),
        );
        t.after(() => Promise.all(players.map(({ player }) => player.close())));
        for (const { numbers, player } of players) {
          const response = await fetch(`${node.url}/whep/live/demo`, { method: 'POST', headers: SDP, body: player.offer });
          assert.equal(response.status, 201, await response.clone().text());
          await player.accept(await response.text());
          await eventually(
            `media for ${JSON.stringify(numbers)}`,
            () => player.received.video > 10 && player.received.audio > 10,
          );
          assert.ok(player.received.keyframes >= 1);
          assert.deepEqual([...player.received.payloadTypes].sort(), [numbers.audio, numbers.video].sort());
        }
      });
    });
  }

  test('what is agreed on is taken by the worker, whatever the format', async (t) => {
    const node = await startTestNode();
    t.after(() => node.close());
    const post = (path: string, body: string): Promise<Response> =>
      fetch(`${node.url}/${path}/live/format`, { method: 'POST', headers: SDP, body });
    const withH264 = (text: string, fmtp: string | undefined, audio: string): string =>
      text
        .replace(/rtpmap:(\d+) VP8\/90000\r\n/, `rtpmap:$1 h264/90000\r\n${fmtp === undefined ? '' : `a=fmtp:$1 ${fmtp}\r\n`}`)
        .replace(/opus\/48000\/2/, audio);
    for (const id of ['422001f', '42001f', '42E01F', '4d4c28', '640828', '64003c', 'f40028', '530028', undefined]) {
      const fmtp = id && `profile-level-id=${id};packetization-mode=1`;
      const published = await post('whip', withH264(offerText('werift-whip'), fmtp, 'opus/48000'));
      assert.equal(published.status, 201, await published.clone().text());
      assert.match(await published.text(), /a=rtpmap:\d+ opus\/48000\r\n/);
      for (const theirs of [fmtp, 'packetization-mode=1', undefined]) {
        const played = await post('whep', withH264(offerText('werift-whep'), theirs, 'OPUS/48000'));
        assert.equal(played.status, 201, `${id} played by ${theirs}: ${await played.text()}`);
        assert.equal((await fetch(sessionUrl(played), { method: 'DELETE' })).status, 200);
      }
      assert.equal((await fetch(sessionUrl(published), { method: 'DELETE' })).status, 200);
    }
  });

  test('an offer of ours is answered with PATCH on the session as well', async (t) => {
    const node = await startTestNode();
    t.after(() => node.close());
    const published = await fetch(`${node.url}/whip/live/demo`, { method: 'POST', headers: SDP, body: offerText('werift-whip') });
    assert.equal(published.status, 201, await published.text());
    const pulled = await fetch(`${node.url}/signaling/pull`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ stream: 'live/demo' }),
    });
    const { sdp, resource } = (await pulled.json()) as { sdp: string; resource: string };
    assert.match(sdp, /a=setup:actpass/);
    const patch = (body: string): Promise<Response> =>
      fetch(new URL(resource, pulled.url), { method: 'PATCH', headers: SDP, body });
    assert.equal((await patch('v=0\r\n')).status, 400);
    const answer = sdp
      .replaceAll('a=sendonly', 'a=recvonly')
      .replaceAll('a=setup:actpass', 'a=setup:active')
      .replace('a=ice-lite\r\n', '');
    assert.equal((await patch(answer)).status, 204);
    assert.equal((await patch(answer)).status, 415, 'there is no offer to answer any more');
  });
});
