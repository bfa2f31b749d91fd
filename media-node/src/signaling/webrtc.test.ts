import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { coreOf } from '../media/placement.ts';
import { eventually, newNetwork, sessionUrl, startTestNode, type TestNode } from './node.fixture.ts';
import { newPlayer, newPublisher, type Player, type Publisher } from '@millrace/testkit/webrtc';

const SDP = { 'content-type': 'application/sdp' };
const JSON_TYPE = { 'content-type': 'application/json' };

describe('publishing and playing with an independent WebRTC stack', { timeout: 60_000 }, () => {
  let node: TestNode;
  let publisher: Publisher;
  let session = '';

  before(async () => {
    node = await startTestNode();
    publisher = await newPublisher();
    const response = await fetch(`${node.url}/whip/live/demo`, { method: 'POST', headers: SDP, body: publisher.offer });
    assert.equal(response.status, 201, await response.clone().text());
    session = sessionUrl(response);
    await publisher.accept(await response.text());
    await eventually('the publisher sends', () => publisher.sent.video > 10);
  });

  after(async () => {
    await publisher.close();
    await node.close();
  });

  test('a WHEP viewer gets video from a keyframe on, and audio', async () => {
    const player = await newPlayer();
    const response = await fetch(`${node.url}/whep/live/demo`, { method: 'POST', headers: SDP, body: player.offer });
    assert.equal(response.status, 201, await response.clone().text());
    await player.accept(await response.text());
    await eventually('30 frames', () => player.received.video >= 30 && player.received.audio >= 30);
    assert.ok(player.received.keyframes >= 1);
    assert.equal(player.received.ssrcs.size, 1);
    await fetch(sessionUrl(response), { method: 'DELETE' });
    await player.close();
  });

  test('a viewer by the short form answers the node’s offer', async () => {
    const pulled = await fetch(`${node.url}/signaling/pull`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ stream: 'live/demo' }),
    });
    const { session: id, sdp } = (await pulled.json()) as { session: string; sdp: string };
    const player = await newPlayer(sdp);
    const answered = await fetch(`${node.url}/signaling/sendanswer`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ session: id, sdp: player.answer }),
    });
    assert.equal(answered.status, 200, await answered.clone().text());
    await eventually('30 frames', () => player.received.video >= 30 && player.received.audio >= 30);
    const stopped = await fetch(`${node.url}/signaling/stop`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ session: id }),
    });
    assert.equal(stopped.status, 200);
    assert.match(id, /^node-1~/);
    assert.equal(node.sessions.get(id.slice('node-1~'.length)), undefined);
    await player.close();
  });

  test('viewers of one stream share what serves it, and the last one leaving ends that', async () => {
    const players = await Promise.all([newPlayer(), newPlayer(), newPlayer()]);
    const locations: string[] = [];
    for (const player of players) {
      const response = await fetch(`${node.url}/whep/live/demo`, { method: 'POST', headers: SDP, body: player.offer });
      locations.push(sessionUrl(response));
      await player.accept(await response.text());
    }
    await eventually('all play', () => players.every(({ received }) => received.video >= 10));
    assert.deepEqual(
      node.hub.served.map(({ viewers }) => viewers),
      [3],
    );
    for (const location of locations) await fetch(location, { method: 'DELETE' });
    await eventually('nothing is served', () => node.hub.served.length === 0);
    for (const player of players) await player.close();
  });

  test('ICE restarts on the same session, and media goes on', async () => {
    const etag = node.sessions.get(session.split('/').at(-1)!)!.etag;
    const fragment = 'a=ice-ufrag:newf\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n';
    const response = await fetch(session, {
      method: 'PATCH',
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' },
      body: fragment,
    });
    assert.equal(response.status, 200);
    assert.notEqual(response.headers.get('etag'), etag);
    assert.match(await response.text(), /a=ice-ufrag:\S+\r\na=ice-pwd:\S+/);
    const before = publisher.sent.video;
    await eventually(
      'the publisher goes on',
      () => publisher.sent.video > before + 10 && node.sessions.get(session.split('/').at(-1)!)?.state === 'connected',
    );
  });

  test('the publisher leaving tells viewers that the stream has stopped, and a while later that it has ended', async () => {
    const player = await newPlayer();
    const response = await fetch(`${node.url}/whep/live/demo`, { method: 'POST', headers: SDP, body: player.offer });
    const location = sessionUrl(response);
    await player.accept(await response.text());
    await eventually('frames', () => player.received.video >= 5);
    const events = await fetch(`${location}/events`);
    assert.match(events.headers.get('content-type')!, /^text\/event-stream/);
    const ended = await fetch(session, { method: 'DELETE' });
    assert.equal(ended.status, 200);
    const text = await events.text();
    assert.match(text, /event: paused\ndata: \{"reason":"[^"]+"\}.*event: ended\ndata: \{"reason":"[^"]+"\}/s);
    assert.equal((await fetch(location, { method: 'DELETE' })).status, 200);
    await player.close();
  });
});

describe('when things break', { timeout: 60_000 }, () => {
  test('a worker that is killed sends its clients to its successor on the same port; those of the other worker notice nothing', async () => {
    const node = await startTestNode({ cores: 2 });
    const publish = async (stream: string, query = ''): Promise<Publisher> => {
      const publisher = await newPublisher();
      const response = await fetch(`${node.url}/whip/${stream}${query}`, {
        method: 'POST',
        headers: SDP,
        body: publisher.offer,
      });
      assert.equal(response.status, 201, await response.clone().text());
      await publisher.accept(await response.text());
      await eventually('frames', () => publisher.sent.video > 5);
      return publisher;
    };
    const play = async (stream: string): Promise<{ player: Player; session: string }> => {
      const player = await newPlayer();
      const response = await fetch(`${node.url}/whep/${stream}`, { method: 'POST', headers: SDP, body: player.offer });
      assert.equal(response.status, 201, await response.clone().text());
      await player.accept(await response.text());
      await eventually('frames', () => player.received.video > 10);
      return { player, session: sessionUrl(response) };
    };
    // The group decides the publisher's core, the stream's name that of its viewers.
    const nameOn = (core: number, prefix: string): string =>
      Array.from({ length: 64 }, (_, i) => `${prefix}${i}`).find((name) => coreOf(name, 2) === core)!;
    const [dying, staying] = [nameOn(0, 'live/dying'), nameOn(1, 'live/staying')];
    const published = await publish(staying, `?group=${nameOn(1, 'group')}`);
    const publishedThere = await publish(dying, `?group=${nameOn(0, 'group')}`);
    const [viewer, lost] = [await play(staying), await play(dying)];
    const events = await fetch(`${lost.session}/events`);
    const ports = node.cores.ports;
    const seen = viewer.player.received.video;

    process.kill(node.cores.pids[0]!, 'SIGKILL');
    const told = await events.text();
    assert.match(told, new RegExp(`event: move\\ndata: {"url":"${node.url}/whep/${dying}".*\\n\\nevent: ended`, 's'));
    await eventually('its publisher’s name is free', () => !node.directory.published.has(dying));
    await eventually('the worker is back', () => node.cores.alive === 2);
    assert.deepEqual(node.cores.ports, ports);
    const again = await publish(dying, `?group=${nameOn(0, 'group')}`);
    const back = await play(dying);
    await eventually('the other viewer still sees frames', () => viewer.player.received.video > seen + 30);
    assert.equal(viewer.player.received.ssrcs.size, 1);
    for (const client of [published, publishedThere, again, viewer.player, lost.player, back.player]) await client.close();
    await node.close();
  });

  test('workers outlive the signal that tells the node to stop: it is the node that ends them, once their clients have moved', async () => {
    const listeners = process.listenerCount('SIGTERM');
    const node = await startTestNode();
    assert.equal(process.listenerCount('SIGTERM'), listeners);
    await node.close();
  });

  test('who knows the publisher’s session may take its name over, nobody else', async () => {
    const node = await startTestNode();
    const publish = async (query: string): Promise<{ publisher: Publisher; response: Response }> => {
      const publisher = await newPublisher();
      const response = await fetch(`${node.url}/whip/live/demo${query}`, {
        method: 'POST',
        headers: SDP,
        body: publisher.offer,
      });
      return { publisher, response };
    };
    const first = await publish('');
    const session = first.response.headers.get('location')!.split('/').at(-1)!;
    const events = await fetch(`${node.url}/whip/sessions/${session}/events`);
    const stranger = await publish('?replaces=AAAAAAAAAAAAAAAAAAAAAA');
    assert.equal(stranger.response.status, 409);
    const second = await publish(`?replaces=${session}`);
    assert.equal(second.response.status, 201, await second.response.text());
    await eventually('the first session has ended', () => node.sessions.get(session) === undefined);
    assert.match(await events.text(), /event: ended\ndata: \{"reason":"[^"]+","final":true\}/, 'it is told not to come back');
    for (const { publisher } of [first, stranger, second]) await publisher.close();
    await node.close();
  });

  test('a stream that the directory has forgotten is seen for as long as it comes, and its viewers are told when it does not', async () => {
    const network = newNetwork();
    const origin = await startTestNode({ name: 'origin', network });
    const node = await startTestNode({ name: 'edge', network });
    const publisher = await newPublisher();
    const published = await fetch(`${origin.url}/whip/live/demo`, { method: 'POST', headers: SDP, body: publisher.offer });
    await publisher.accept(await published.text());
    await eventually('the publisher sends', () => publisher.sent.video > 5);
    const play = async (): Promise<{ player: Player; response: Response }> => {
      const player = await newPlayer();
      const response = await fetch(`${node.url}/whep/live/demo`, { method: 'POST', headers: SDP, body: player.offer });
      assert.equal(response.status, 201, await response.clone().text());
      await player.accept(await response.text());
      await eventually('frames', () => player.received.video > 10);
      return { player, response };
    };
    const { player, response } = await play();
    const events = await fetch(`${sessionUrl(response)}/events`);

    // As when the publisher's node reaches everybody but control.
    network.published.clear();
    node.hub.applyStream('live/demo', undefined);
    const late = await play();
    const seen = player.received.video;
    await eventually('it goes on for longer than viewers would wait', () => player.received.video > seen + 60);
    await origin.close();
    const told = await events.text();
    assert.match(told, /event: paused\ndata: \{[^\n]+\n\nevent: ended/);
    assert.equal(told.match(/event: paused/g)?.length, 1);
    for (const client of [publisher, player, late.player]) await client.close();
    await node.close();
  });

  test('a client that never connects is forgotten', async () => {
    const node = await startTestNode({ connectMs: 200 });
    const publisher = await newPublisher();
    const response = await fetch(`${node.url}/whip/live/demo`, { method: 'POST', headers: SDP, body: publisher.offer });
    assert.equal(response.status, 201);
    await eventually('the session is gone', () => node.sessions.size === 0 && node.directory.published.size === 0);
    await publisher.close();
    await node.close();
  });

  test('a publisher is told the most that its StreamRoute lets it send, also when that changes', async () => {
    const node = await startTestNode({ policy: { maxPublishKbps: 300 } });
    const publisher = await newPublisher();
    const response = await fetch(`${node.url}/whip/live/demo`, { method: 'POST', headers: SDP, body: publisher.offer });
    const answer = await response.text();
    assert.match(answer, /b=AS:300\r\nb=TIAS:300000/);
    await publisher.accept(answer);
    const stats = async (): Promise<number | undefined> =>
      (await node.hub.published[0]!.origin.transport.getStats())[0]?.maxIncomingBitrate;
    await eventually('the limit is set', async () => (await stats()) === 300_000);
    const { state } = node.directory.published.get('live/demo')!;
    const changed = { ...state, policy: { ...state.policy, maxPublishKbps: 500 } };
    node.hub.applyStream(changed.stream, changed);
    await eventually('the new limit is set', async () => (await stats()) === 500_000);
    await publisher.close();
    await node.close();
  });

  test('a takeover ends the first publisher, and viewers keep their SSRC', async () => {
    const node = await startTestNode({ policy: { onDuplicate: 'Takeover' } });
    let endings = 0;
    const egress = node.relay.egress.bind(node.relay);
    node.relay.egress = async (request) => {
      const opened = await egress(request);
      return opened.on('ended', () => (endings += 1));
    };
    const token = await node.token('push', 'live/demo');
    const publish = async (): Promise<{ publisher: Publisher; location: string }> => {
      const publisher = await newPublisher();
      const response = await fetch(`${node.url}/whip/live/demo`, {
        method: 'POST',
        headers: { ...SDP, authorization: `Bearer ${token}` },
        body: publisher.offer,
      });
      assert.equal(response.status, 201, await response.clone().text());
      await publisher.accept(await response.text());
      return { publisher, location: response.headers.get('location')! };
    };
    const first = await publish();
    const player = await newPlayer();
    const response = await fetch(`${node.url}/whep/live/demo`, { method: 'POST', headers: SDP, body: player.offer });
    await player.accept(await response.text());
    await eventually('frames of the first', () => player.received.video >= 10);
    const second = await publish();
    await eventually('the first one is gone', () => node.sessions.get(first.location.split('/').at(-1)!) === undefined);
    await eventually('the second one connected', () => second.publisher.sent.video > 5);
    const seen = player.received.video;
    await eventually('frames of the second', () => player.received.video >= seen + 20);
    assert.equal(player.received.ssrcs.size, 1);
    assert.equal(endings, 0, 'no end of the stream was told');
    assert.ok(node.sessions.get(response.headers.get('location')!.split('/').at(-1)!), 'the viewer kept its session');
    await Promise.all([first.publisher.close(), second.publisher.close(), player.close()]);
    await node.close();
  });
});
