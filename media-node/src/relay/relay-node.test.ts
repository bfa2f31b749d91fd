import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { writePli } from '../rtp/index.ts';
import { Publisher, Puller, SimulatedMesh, type Received } from './simulated-mesh.fixture.ts';

const STREAM = 'live/demo';
let open: SimulatedMesh | undefined;
afterEach(() => open?.close());

function mesh(names: string[], seed?: number): SimulatedMesh {
  open = new SimulatedMesh(names, seed);
  return open;
}

/** Every number from the first that came to the last, once and in order. */
function assertWhole(received: Received[], least: number): void {
  assert.ok(received.length >= least, `${received.length} packets came, expected at least ${least}`);
  const first = received[0]!;
  received.forEach((packet, i) => {
    assert.equal(
      packet.mark,
      first.mark + i,
      `packet ${i}: ${received
        .slice(Math.max(0, i - 3), i + 4)
        .map((p) => p.mark)
        .join(' ')}`,
    );
    assert.equal(packet.seq, (first.seq + i) & 0xffff);
  });
}

function longestGap(received: Received[]): number {
  return received.slice(1).reduce((longest, packet, i) => Math.max(longest, packet.atMs - received[i]!.atMs), 0);
}

/** Subscriptions that a node serves to others. */
const served = (nodes: SimulatedMesh, name: string) =>
  nodes
    .node(name)
    .relay.stats()
    .streams.find((stream) => stream.stream === STREAM);

describe('a stream over relays', () => {
  test('arrives whole, renumbered for the viewer, over two trunks', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    const publisher = new Publisher(nodes, 'a', STREAM);
    await publisher.start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'a']);
    await nodes.run(3000);
    assertWhole(puller.video, 250);
    assertWhole(puller.audio, 130);
    assert.deepEqual([puller.video[0]!.ssrc, puller.video[0]!.payloadType], [7000, 96]);
    assert.deepEqual([puller.audio[0]!.ssrc, puller.audio[0]!.payloadType], [8000, 97]);
    const stats = nodes.node('c').relay.egressStats(puller.id);
    assert.deepEqual(stats.nodes, ['b', 'a']);
    assert.ok(Math.abs(stats.rttMs - 80) < 20, `RTT over both trunks: ${stats.rttMs}`);
  });

  test('is served on the node that it is published on, without a trunk', async () => {
    const nodes = mesh(['a']);
    const publisher = new Publisher(nodes, 'a', STREAM);
    const puller = new Puller(nodes, 'a');
    await puller.start(STREAM, []);
    await nodes.run(100);
    await publisher.start(1000);
    await nodes.run(1000);
    assertWhole(puller.video, 90);
  });

  test('three pulls on one node cost one subscription; the last one leaving ends it after the linger', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const pullers = [new Puller(nodes, 'c'), new Puller(nodes, 'c'), new Puller(nodes, 'c')];
    for (const puller of pullers) await puller.start(STREAM, ['b', 'a']);
    await nodes.run(2000);
    for (const puller of pullers) assertWhole(puller.video, 100);
    const carried = served(nodes, 'c')!;
    assert.equal(carried.duplicates, 0, 'each packet came over the trunk once');
    pullers[0]!.close();
    pullers[1]!.close();
    await nodes.run(3000);
    assertWhole(pullers[2]!.video, 400);
    pullers[2]!.close();
    await nodes.run(1900);
    assert.ok(served(nodes, 'c'), 'kept while it lingers');
    await nodes.run(200);
    assert.equal(served(nodes, 'c'), undefined);
    await nodes.run(1500);
    assert.equal(served(nodes, 'b'), undefined, 'the relay lets go as well');
    const before = nodes.node('b').endpoint.trunk('a')!.stats().receivedBytes;
    await nodes.run(1000);
    assert.ok(nodes.node('b').endpoint.trunk('a')!.stats().receivedBytes - before < 5000, 'no media any more');
  });

  test('a relay subscribes once whatever it serves', async () => {
    const nodes = mesh(['a', 'b', 'c', 'd']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const atC = new Puller(nodes, 'c');
    const atD = new Puller(nodes, 'd');
    await atC.start(STREAM, ['b', 'a']);
    await nodes.run(1000);
    await atD.start(STREAM, ['b', 'a']);
    await nodes.run(2000);
    assertWhole(atC.video, 250);
    assertWhole(atD.video, 150);
    assert.equal(served(nodes, 'b')!.duplicates, 0);
  });

  test('killing the relay on the path loses no packet, and the picture stands less than 300 ms', async () => {
    for (const seed of [1, 2, 3]) {
      const nodes = mesh(['a', 'b1', 'b2', 'c'], seed);
      const publisher = new Publisher(nodes, 'a', STREAM);
      await publisher.start(1000);
      const puller = new Puller(nodes, 'c');
      await puller.start(STREAM, ['b1', 'a'], ['b2', 'a']);
      for (const name of ['c', 'b2']) nodes.configure(name, { probe: [name === 'c' ? 'b2' : 'a'] });
      await nodes.run(2503);
      nodes.kill('b1');
      await nodes.run(2500);
      assertWhole(puller.video, 450);
      assertWhole(puller.audio, 220);
      assert.ok(longestGap(puller.video) < 300, `stood for ${longestGap(puller.video)} ms`);
      assert.ok(publisher.video - puller.video.at(-1)!.mark < 15, 'is at the live edge again');
      assert.deepEqual(nodes.node('c').relay.egressStats(puller.id).nodes, ['b2', 'a']);
      nodes.close();
    }
  });

  test('survives loss, reordering and duplicates on every trunk', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    for (const [x, y] of [
      ['a', 'b'],
      ['b', 'c'],
    ] as const)
      nodes.setLink(x, y, { jitterMs: 15, loss: 0.03, duplication: 0.05 });
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'a']);
    await nodes.run(8000);
    assertWhole(puller.video, 700);
  });

  test('a planned change of path is made before the old one is broken', async () => {
    const nodes = mesh(['a', 'b1', 'b2', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b1', 'a']);
    await nodes.run(2000);
    nodes.node('c').relay.reroute(puller.id, { path: ['b2', 'a'], backup: [] });
    await nodes.run(4000);
    assertWhole(puller.video, 550);
    assert.ok(longestGap(puller.video) <= 20, `gap of ${longestGap(puller.video)} ms`);
    assert.deepEqual(nodes.node('c').relay.egressStats(puller.id).nodes, ['b2', 'a']);
    assert.equal(served(nodes, 'b1'), undefined, 'the old relay is free again');
  });

  test('a relay in the middle goes to the backup on its own when its upstream dies', async () => {
    const nodes = mesh(['a', 'x', 'b', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'x', 'a'], ['b', 'a']);
    nodes.configure('b', { probe: ['a'] });
    await nodes.run(2500);
    nodes.kill('x');
    await nodes.run(2500);
    assertWhole(puller.video, 450);
    assert.deepEqual(nodes.node('c').relay.egressStats(puller.id).nodes, ['b', 'a']);
    assert.equal(puller.events('lost').length, 0);
  });

  test('a relay that has no way round says so, and the subscriber takes its own', async () => {
    const nodes = mesh(['a', 'x', 'b1', 'b2', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b1', 'x', 'a'], ['b2', 'a']);
    await nodes.run(2500);
    nodes.kill('x');
    await nodes.run(2500);
    assertWhole(puller.video, 450);
    assert.deepEqual(nodes.node('c').relay.egressStats(puller.id).nodes, ['b2', 'a']);
  });

  test('when both ways fail the pull hears of it, and goes on when one is back', async () => {
    const nodes = mesh(['a', 'b1', 'b2', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b1', 'a'], ['b2', 'a']);
    await nodes.run(2000);
    nodes.kill('b1');
    nodes.kill('b2');
    await nodes.run(3000);
    assert.equal(puller.events('lost').length, 1);
    nodes.node('b2').alive = true;
    const before = puller.video.length;
    await nodes.run(8000);
    assert.ok(puller.video.length > before + 200, 'flows again');
    assert.equal(puller.events('flowing').length, 2);
  });

  test('a route from control ends a loss that no backup could', async () => {
    const nodes = mesh(['a', 'b1', 'b2', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b1', 'a']);
    await nodes.run(2000);
    nodes.kill('b1');
    await nodes.run(500);
    assert.equal(puller.events('lost').length, 1);
    nodes.node('c').relay.reroute(puller.id, { path: ['b2', 'a'], backup: [] });
    await nodes.run(1500);
    assertWhole(puller.video, 330);
  });

  test('keyframe requests of all viewers go up at once, then once in 300 ms, to a publisher that answers', async () => {
    const nodes = mesh(['a', 'b', 'c', 'd']);
    const publisher = new Publisher(nodes, 'a', STREAM);
    await publisher.start(1000);
    const pullers = [new Puller(nodes, 'c'), new Puller(nodes, 'd')];
    for (const puller of pullers) await puller.start(STREAM, ['b', 'a']);
    await nodes.run(1500);
    const requests = () => nodes.node('a').events.filter((event) => event.type === 'keyframe').length;
    const before = requests();
    for (const puller of pullers) puller.sendRtcp(writePli(1, 7000));
    await nodes.run(60);
    assert.equal(requests() - before, 1);
    publisher.keyframeWanted = true;
    await nodes.run(120);
    for (const puller of pullers) for (let i = 0; i < 10; i++) puller.sendRtcp(writePli(1, 7000));
    await nodes.run(90);
    assert.equal(requests() - before, 1);
    await nodes.run(200);
    assert.equal(requests() - before, 2);
  });

  test('a new publisher of the name goes on where the viewer is: same SSRC, next number, later timestamp', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    const first = new Publisher(nodes, 'a', STREAM);
    await first.start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'a']);
    await nodes.run(1500);
    first.pause();
    await nodes.run(500);
    await new Publisher(nodes, 'a', STREAM, { seq: 7, timestamp: 4_000_000_000 }).start(2000);
    await nodes.run(1500);
    const turn = puller.video.findIndex((packet, i) => i > 0 && packet.mark < puller.video[i - 1]!.mark);
    const [last, next] = [puller.video[turn - 1]!, puller.video[turn]!];
    assert.equal(next.seq, (last.seq + 1) & 0xffff);
    assert.equal(next.ssrc, last.ssrc);
    const elapsedMs = ((next.timestamp - last.timestamp) >>> 0) / 90;
    assert.ok(Math.abs(elapsedMs - (next.atMs - last.atMs)) < 5, `${elapsedMs} ms of media for ${next.atMs - last.atMs} ms`);
    assert.ok(puller.video.length - turn > 120, 'the new publisher flows');
  });

  test('a publisher that leaves ends the stream for the viewer; one that comes back is found', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    const first = new Publisher(nodes, 'a', STREAM);
    await first.start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'a']);
    await nodes.run(1500);
    first.stop();
    await nodes.run(500);
    assert.equal(puller.events('ended').length, 1);
    await new Publisher(nodes, 'a', STREAM, { seq: 7, timestamp: 5 }).start(2000);
    const before = puller.video.length;
    await nodes.run(6000);
    assert.ok(puller.video.length > before + 100);
  });

  test('a stream that nobody publishes is refused, and flows once somebody does', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'a']);
    await nodes.run(500);
    assert.equal(puller.events('lost').length, 1);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    await nodes.run(6000);
    assertWhole(puller.video, 60);
  });

  test('a node without the relay role forwards nothing for others', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    nodes.configure('b', { relays: false });
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'a']);
    await nodes.run(1000);
    assert.match(JSON.stringify(puller.events('lost')), /b is no relay/);
  });

  test('a path that leads back is refused instead of going round', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const atB = new Puller(nodes, 'b');
    const atC = new Puller(nodes, 'c');
    await atB.start(STREAM, ['c', 'a']);
    await nodes.run(500);
    await atC.start(STREAM, ['b', 'a']);
    await nodes.run(1000);
    assertWhole(atB.video, 60);
    const trunk = nodes.node('b').endpoint.trunk('c')!.stats();
    assert.ok(trunk.sentDatagrams < 400, 'no media goes round');
  });

  test('a trunk to a dead node that nobody needs is given up; one to probe is not', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    nodes.configure('c', { probe: ['a', 'b'] });
    await nodes.run(1000);
    for (const name of ['a', 'b']) nodes.kill(name);
    nodes.configure('c', { probe: ['a'] });
    await nodes.run(60_000);
    assert.deepEqual(
      nodes
        .node('c')
        .relay.links()
        .map(({ peer, state }) => `${peer} ${state}`),
      ['a Down'],
    );
  });

  test('layers that nobody wants do not travel, and come back from a keyframe with the next number', async () => {
    const nodes = mesh(['a', 'b', 'c', 'd']);
    const publisher = new Publisher(nodes, 'a', STREAM);
    await publisher.start(1000);
    const [atC, atD] = [new Puller(nodes, 'c'), new Puller(nodes, 'd')];
    await atC.start(STREAM, ['b', 'a']);
    await atD.start(STREAM, ['b', 'a']);
    await nodes.run(1500);
    const toC = () => nodes.node('b').endpoint.trunk('c')!.stats().sentBytes;
    nodes.node('c').relay.setLayers(atC.id, 0, 0);
    await nodes.run(300);
    const [count, bytes] = [atC.video.length, toC()];
    await nodes.run(1000);
    assert.equal(atC.video.length, count);
    assert.ok(toC() - bytes < 12_000, `audio and heartbeats only: ${toC() - bytes} bytes`);
    nodes.node('c').relay.setLayers(atC.id, 0, 1);
    await nodes.run(2000);
    assert.ok(atC.video.length > count + 90);
    assert.equal(atC.video[count]!.mark % 100, 0, 'begins with a keyframe');
    atC.video.forEach((packet, i) => assert.equal(packet.seq, (atC.video[0]!.seq + i) & 0xffff));
    assertWhole(atD.video, 350);
  });

  for (const [x, y] of [
    ['b', 'c'],
    ['a', 'b'],
  ] as const) {
    test(`a trunk (${x}-${y}) that breaks for half a second, without a way round, loses no packet`, async () => {
      const nodes = mesh(['a', 'b', 'c']);
      const publisher = new Publisher(nodes, 'a', STREAM);
      await publisher.start(1000);
      const puller = new Puller(nodes, 'c');
      await puller.start(STREAM, ['b', 'a']);
      await nodes.run(2000);
      nodes.setLink(x, y, { loss: 1 });
      await nodes.run(500);
      nodes.setLink(x, y, {});
      await nodes.run(3000);
      assertWhole(puller.video, 450);
      assert.ok(publisher.video - puller.video.at(-1)!.mark < 15, 'is at the live edge again');
    });
  }

  test('what a whole send window cannot hold is retransmitted as acknowledgements free it', async () => {
    const nodes = mesh(['a', 'b']);
    const publisher = new Publisher(nodes, 'a', STREAM, { seq: 100, timestamp: 1_000_000 }, 30);
    await publisher.start(1000);
    const puller = new Puller(nodes, 'b');
    await puller.start(STREAM, ['a']);
    await nodes.run(1000);
    nodes.setLink('a', 'b', { loss: 1 });
    await nodes.run(600);
    nodes.setLink('a', 'b', {});
    await nodes.run(1500);
    assertWhole(puller.video, 6_000);
    assert.ok(publisher.video - puller.video.at(-1)!.mark < 400, 'is at the live edge again');
  });

  test('messages and media that are none are counted, and harm nothing', async () => {
    const nodes = mesh(['a', 'b', 'c']);
    await new Publisher(nodes, 'a', STREAM).start(1000);
    const puller = new Puller(nodes, 'c');
    await puller.start(STREAM, ['b', 'a']);
    await nodes.run(1000);
    const trunk = nodes.node('c').endpoint.trunk('b')!;
    for (const text of ['', 'null', '{"v":1,"type":"subscribe","id":7}', '{"v":9,"id":7}'])
      trunk.sendControl(Buffer.from(text || ' '));
    trunk.sendMedia({ conversation: 999, priority: 'video', payload: Buffer.from('nothing') });
    const video = [...nodes.node('b').endpoint.trunks].find(({ peer }) => peer === 'c')!;
    video.sendMedia({ conversation: 999, priority: 'video', payload: Buffer.alloc(40) });
    await nodes.run(1000);
    const { controlErrors, strayFrames, subscribers } = nodes.node('b').relay.stats();
    assert.deepEqual({ controlErrors, strayFrames, subscribers }, { controlErrors: 4, strayFrames: 1, subscribers: 1 });
    assertWhole(puller.video, 150);
  });
});
