import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { PublisherStatus } from '@millrace/api';
import { createLogger, realClock } from '@millrace/service';
import { PublisherWatch } from './index.ts';
import { eventually, startTestNode, type TestNode } from '../signaling/node.fixture.ts';
import { sendReports } from '@millrace/testkit/media';
import { newPublisher } from '@millrace/testkit/webrtc';
import { variation, VariedPublisher, wrongSsrc, type Variation } from './varied-publisher.fixture.ts';

const VARIATIONS: [name: string, varied: Variation][] = [
  ...[1, 2, 3, 4, 5, 7, 8].map((seed): [string, Variation] => [`seed ${seed}`, variation(seed)]),
  ['seed 3 with parameter sets in its description alone', { ...variation(3), parameterSets: 'sprop' }],
  ['seed 8 with parameter sets in its description alone', { ...variation(8), parameterSets: 'sprop' }],
  ['seed 3 with parameter sets once', { ...variation(3), parameterSets: 'once' }],
  ['seed 8 with an open GOP', { ...variation(8), parameterSets: 'sprop', gop: 'open' }],
];
const BASE: Variation = { ...variation(1), codec: 'VP8', parameterSets: 'each', hasAudio: true, announced: 'right' };

interface Opened {
  session: string;
  ip: string;
  port: number;
}

/** Real packets from loopback sockets, a real worker and relay thread: what a publisher does shows in what a late viewer gets, or in its status. */
describe('a publisher', { timeout: 180_000 }, () => {
  let node: TestNode;
  let names = 0;
  before(async () => {
    node = await startTestNode();
  });
  const sockets: { close(): unknown }[] = [];
  after(async () => {
    for (const socket of sockets) {
      try {
        await socket.close();
      } catch {
        // The test has closed it already.
      }
    }
    await node.close();
  });

  async function start(of: Variation): Promise<VariedPublisher> {
    const publisher = await VariedPublisher.start(of);
    sockets.push(publisher);
    return publisher;
  }

  async function post(
    path: string,
    token: string,
    body: object,
  ): Promise<{ status: number; body: Opened & { detail?: string } }> {
    const response = await fetch(`${node.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Opened };
  }

  async function publish(
    publisher: VariedPublisher,
    more: { from?: number; stream?: string } = {},
  ): Promise<Opened & { stream: string }> {
    const stream = more.stream ?? `live/varied-${++names}`;
    const address = { ip: '127.0.0.1', port: more.from ?? publisher.socket.address().port };
    const { status, body } = await post('/rtp/push', await node.token('push', 'live/*'), {
      stream,
      address,
      tracks: publisher.tracks,
    });
    assert.equal(status, 201, JSON.stringify(body));
    return { ...body, stream };
  }

  const statusOf = (session: string): PublisherStatus | undefined => node.sessions.get(session)?.publisher;
  const state = (session: string, wanted: string): Promise<PublisherStatus> =>
    eventually(`${wanted}, not ${JSON.stringify(statusOf(session))}`, () => {
      const status = statusOf(session);
      return status?.state === wanted && status;
    });

  /** One that joins now; counts packets by payload type. */
  async function view(
    stream: string,
  ): Promise<{ counts: Map<number, number>; socket: Socket; video: number; close: () => Promise<void> }> {
    const socket = createSocket('udp4');
    sockets.push({ close: () => socket.close() });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const counts = new Map<number, number>();
    socket.on('message', (message) => {
      const payloadType = message[1]! & 127;
      if (message[1]! < 192 || message[1]! > 223) counts.set(payloadType, (counts.get(payloadType) ?? 0) + 1);
    });
    const address = { ip: '127.0.0.1', port: socket.address().port };
    const { status, body } = await post('/rtp/pull', await node.token('pull', 'live/*'), { stream, address });
    assert.equal(status, 201, JSON.stringify(body));
    sendReports(socket, body);
    const tracks = (body as unknown as { tracks: { kind: string; payloadType: number }[] }).tracks;
    const video = tracks.find(({ kind }) => kind === 'video')!.payloadType;
    const close = async (): Promise<void> => {
      await fetch(`${node.url}/rtp/sessions/${body.session}`, { method: 'DELETE' });
      socket.close();
    };
    return { counts, socket, video, close };
  }

  async function end(publisher: VariedPublisher, session: string): Promise<void> {
    publisher.close();
    await fetch(`${node.url}/rtp/sessions/${session}`, { method: 'DELETE' });
  }

  test('of a format that few viewers can play is told so in its status', async () => {
    const publisher = await start(BASE);
    const track = (id: string) => ({
      kind: 'video',
      mimeType: 'video/H264',
      payloadType: 96,
      clockRate: 90_000,
      ssrc: 7,
      parameters: { 'profile-level-id': id },
    });
    for (const [id, hint] of [
      ['f40028', /High 4:4:4 Predictive.*is played by few viewers \(10 bit, 4:2:2, 4:4:4\)/],
      ['64003c', /level 6\).*stay within level 5\.2/],
      ['42e01f', undefined],
    ] as const) {
      const address = { ip: '127.0.0.1', port: publisher.socket.address().port };
      const stream = `live/format-${id}`;
      const { status, body } = await post('/rtp/push', await node.token('push', 'live/*'), {
        stream,
        address,
        tracks: [track(id)],
      });
      assert.equal(status, 201, JSON.stringify(body));
      const shown = await eventually('a status', () => statusOf(body.session));
      if (hint) assert.match(shown.tracks[0]!.hint ?? '', hint);
      else assert.equal(shown.tracks[0]!.hint, undefined);
      await fetch(`${node.url}/rtp/sessions/${body.session}`, { method: 'DELETE' });
    }
    publisher.close();
  });

  describe('is seen by a late viewer', { concurrency: true }, () => {
    for (const [name, varied] of VARIATIONS) {
      // Sets that are sent once are gone by the time that the SSRC is learned; a viewer could not decode without them.
      const isDecodable = varied.codec !== 'H264' || varied.parameterSets !== 'once' || varied.announced === 'right';
      test(`${isDecodable ? 'whatever it chose' : 'or told why not'}: ${name}, ${JSON.stringify(varied)}`, async () => {
        const publisher = await start(varied);
        const { session, port, stream } = await publish(publisher);
        publisher.sendTo(port);
        if (!isDecodable) {
          assert.match((await state(session, 'WaitingForKeyframe')).detail!, /with SPS and PPS in band/);
          return end(publisher, session);
        }
        await eventually('all tracks', () => statusOf(session)?.tracks.every((track) => track.state === 'Receiving'));
        const viewer = await view(stream);
        await eventually('30 video packets', () => (viewer.counts.get(viewer.video) ?? 0) >= 30);
        if (varied.hasAudio) assert.equal(viewer.counts.size, 2);
        await viewer.close();
        await end(publisher, session);
      });
    }

    for (const ssrcs of ['wrong', 'absent'] as const) {
      test(`over WebRTC with its SSRC ${ssrcs} in the offer`, async () => {
        const publisher = await newPublisher();
        sockets.push(publisher);
        const offer =
          ssrcs === 'wrong'
            ? publisher.offer.replace(/^a=ssrc:(\d+)/gm, (_, ssrc: string) => `a=ssrc:${Number(ssrc) ^ 0x55}`)
            : publisher.offer.replace(/^a=ssrc(-group)?:.*\r?\n/gm, '');
        assert.notEqual(offer, publisher.offer);
        const response = await fetch(`${node.url}/whip/live/web-${ssrcs}`, {
          method: 'POST',
          headers: { 'content-type': 'application/sdp' },
          body: offer,
        });
        const answer = await response.text();
        assert.equal(response.status, 201, answer);
        await publisher.accept(answer);
        const session = response.headers.get('location')!.split('/').at(-1)!;
        await eventually(
          `all tracks, not ${JSON.stringify(statusOf(session))}`,
          () => statusOf(session)?.tracks.every((track) => track.state === 'Receiving'),
          20_000,
        );
        const viewer = await view(`live/web-${ssrcs}`);
        await eventually('30 video packets', () => (viewer.counts.get(viewer.video) ?? 0) >= 30);
        await viewer.close();
        await publisher.close();
      });
    }
  });

  test('that changes its SSRC goes on for the viewers that it has', async () => {
    const publisher = await start(BASE);
    const { session, port, stream } = await publish(publisher);
    publisher.sendTo(port);
    await state(session, 'Receiving');
    const viewer = await view(stream);
    for (let round = 0; round < 2; round++) {
      await eventually('media', () => (viewer.counts.get(viewer.video) ?? 0) >= 30);
      publisher.changeSsrcs();
      await eventually('what was learned', () => statusOf(session)!.tracks[0]!.ssrcs?.[0] === publisher.variation.ssrcs.video);
      viewer.counts.clear();
      await eventually('media again', () => (viewer.counts.get(viewer.video) ?? 0) >= 30 && viewer.counts.size === 2);
    }
    await viewer.close();
    await end(publisher, session);
  });

  test('of several with wrong SSRCs at once each gets its own', async () => {
    const opened = await Promise.all(
      [11, 12, 13].map(async (seed) => {
        const payloadTypes = { audio: 97, video: 96 };
        const publisher = await start({
          ...variation(seed),
          codec: 'VP8',
          hasAudio: true,
          payloadTypes,
          announced: 'wrong',
        });
        const { session, port } = await publish(publisher);
        publisher.sendTo(port);
        return { publisher, session };
      }),
    );
    for (const { publisher, session } of opened) {
      await eventually(
        'its own SSRCs',
        () => statusOf(session)?.tracks[0]?.ssrcs?.[0] === publisher.variation.ssrcs.video,
        60_000,
      );
      await eventually(
        'all of its tracks',
        () => statusOf(session)!.tracks.every((track) => track.state === 'Receiving'),
        60_000,
      );
      await end(publisher, session);
    }
  });

  test('whose two tracks share a payload type keeps to what it announced, and is told so', async () => {
    const publisher = await start({ ...BASE, hasAudio: false, announced: 'wrong' });
    const [track] = publisher.tracks;
    Object.defineProperty(publisher, 'tracks', { get: () => [track, { ...track, ssrc: 99 }] });
    const { session, port } = await publish(publisher);
    publisher.sendTo(port);
    const status = await state(session, 'NoKnownSsrc');
    const { ssrcs, payloadTypes } = publisher.variation;
    assert.match(
      status.detail!,
      new RegExp(`SSRC ${ssrcs.video} \\(payload type ${payloadTypes.video}\\).*announced: ${wrongSsrc(ssrcs.video)}, 99`),
    );
    await end(publisher, session);
  });

  test('that sends another payload type is told which', async () => {
    const publisher = await start({ ...BASE, hasAudio: false });
    const { session, port } = await publish(publisher);
    publisher.variation.payloadTypes.video = 111;
    publisher.sendTo(port);
    const status = await state(session, 'UnknownPayloadType');
    assert.match(status.detail!, /agreed on: \d+ \(video\/VP8\)/);
    await end(publisher, session);
  });

  test('that never sends a keyframe is waited for, asked less and less often, and receives once it does', async () => {
    const publisher = await start({ ...BASE, keyframeInterval: 15 });
    publisher.keyframes = 'never';
    const { session, port } = await publish(publisher);
    publisher.sendTo(port);
    const status = await state(session, 'WaitingForKeyframe');
    assert.match(status.detail!, /Track 0 \(video\/VP8\) arrives without a keyframe/);
    assert.deepEqual(
      status.tracks.map((track) => track.state),
      ['WaitingForKeyframe', 'Receiving'],
    );
    publisher.keyframes = 'always';
    await state(session, 'Receiving');
    await end(publisher, session);
  });

  test('that sends only what nothing can use frees its name after a minute, and its client hears why', async () => {
    // Time runs eight times as fast: looks 250 ms apart are 2 s apart, the most that one look counts for.
    const clock = { ...realClock, now: () => realClock.now() * 8 };
    const watch = new PublisherWatch({
      sessions: node.sessions,
      logger: createLogger({ service: 'test', level: 'silent' }),
      clock,
    });
    const publisher = await start({ ...BASE, hasAudio: false });
    publisher.keyframes = 'never';
    const { session, port, stream } = await publish(publisher);
    publisher.sendTo(port);
    const reasons: string[] = [];
    node.sessions.get(session)!.once('closed', (reason) => reasons.push(reason));
    const startedMs = realClock.now();
    while (reasons.length === 0 && realClock.now() - startedMs < 20_000) {
      await watch.look((await node.relay.stats()).ingests);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    assert.deepEqual(reasons, ['the publisher sent no keyframe that a viewer could start from']);
    assert.ok(realClock.now() - startedMs > 6000, 'not before a minute of its time');
    publisher.keyframes = 'always';
    const again = await publish(publisher, { stream });
    publisher.stop();
    publisher.sendTo(again.port);
    await state(again.session, 'Receiving');
    await end(publisher, again.session);
  });

  test('that sends from another address is told so', async () => {
    const publisher = await start(BASE);
    const other = await start(BASE);
    const { session, port } = await publish(publisher, { from: other.socket.address().port });
    publisher.sendTo(port);
    assert.match((await state(session, 'Unreadable')).detail!, /Send from the address and port/);
    other.close();
    await end(publisher, session);
  });

  test('that sends nothing is pending, and no longer silent once it sends', async () => {
    const publisher = await start(BASE);
    const { session, port } = await publish(publisher);
    await eventually('a first look', () => statusOf(session)?.state === 'Connecting');
    assert.equal(node.sessions.get(session)?.state, 'pending');
    publisher.sendTo(port);
    await state(session, 'Receiving');
    assert.equal(node.sessions.get(session)?.state, 'connected');
    publisher.stop();
    const silent = await eventually(
      'silence',
      () => statusOf(session)?.state === 'Silent' || node.sessions.get(session) === undefined,
      20_000,
    );
    assert.ok(silent);
    publisher.close();
  });
});
