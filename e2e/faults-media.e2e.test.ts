import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Topology } from '@millrace/api';
import { encodeClip, type Clip } from '@millrace/testkit/media';
import { openPlainViewer, publishClip } from '@millrace/testkit/media';
import { launchBrowser, type Browser } from '@millrace/testbed/browser';
import { CountedStream } from './src/counted-stream.ts';
import { kubectlOf } from './src/kube-cluster.ts';
import { delay, eventually, freeNetworkPorts, startNetwork, type TestNetwork } from '@millrace/testbed/network';
import { descendantsOf, isRunning, metricOf, nodesBeneath, pidOfNode, workersOf } from '@millrace/testbed/node-process';
import { playWithWerift, startFfmpegPublisher, startWhipPublisher } from './src/publishers.ts';
import { observeSdk, sdkPlayer, sdkPublisher, sdkUntil } from './src/sdk-page.ts';
import { listenTo } from './src/session-events.ts';
import type { SupervisedProcess } from './src/supervised-process.ts';

const PUBLISHED_IN = 'tokyo';
const CROSSED = 'frankfurt';
const WATCHED_IN = 'virginia';

/** Maximum time until control has forgotten a publisher that vanished: 10 s of silence (docs/faults.md), plus margin for a busy machine. */
const FORGOTTEN_WITHIN_MS = 30_000;

/** Kills or stops processes of the media plane while frames are counted. */
describe('faults of the media plane', { timeout: 540_000 }, () => {
  let network: TestNetwork;
  let browser: Browser;
  let kubectl: (...args: string[]) => Promise<string>;
  let clip: Clip;
  let ports: Awaited<ReturnType<typeof freeNetworkPorts>>;

  before(async () => {
    ports = await freeNetworkPorts();
    browser = await launchBrowser();
    clip = await encodeClip();
    network = await startNetwork({ ports });
    useKubectl();
  });
  after(async () => {
    await browser?.close();
    await network?.stop();
  });

  function useKubectl(): void {
    const program = join(process.env['MILLRACE_KUBERNETES_BIN'] ?? '', 'kubectl');
    kubectl = kubectlOf(program, network.kubeconfig, network.stateDir).kubectl;
  }
  const placeOptions = (kind: 'push' | 'pull', stream: string, region: string) => ({
    placeUrl: new URL(`/api/place/${kind}`, network.consoleUrl).href,
    stream,
    region,
  });
  const knows = async (stream: string): Promise<boolean> =>
    (await network.topology()).streams.some((each) => each.stream === stream);
  const whenKnown = (stream: string) =>
    eventually(`${stream} is known`, 20_000, async () => ((await knows(stream)) ? true : undefined));
  const nodesOf = async (edge: string): Promise<Topology['nodes']> =>
    (await network.topology()).nodes.filter((each) => each.node.startsWith(`${edge}-`));
  const onlyNodeOf = async (edge: string): Promise<string> => (await nodesOf(edge))[0]!.node;
  const opsUrlOf = async (node: string): Promise<string> =>
    (await kubectl('get', 'medianode', node, '-o', 'jsonpath={.status.endpoints.opsUrl}')).trim();

  /** A stream of numbered frames from Tokyo, counted packet by packet at a plain RTP viewer. */
  async function countedStream(t: TestContext, stream: string, region: string): Promise<CountedStream> {
    const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
    await whenKnown(stream);
    const viewer = await openPlainViewer(await network.place('pull', stream, region));
    const counted = new CountedStream(publisher, viewer);
    t.after(() => counted.stop());
    await counted.more(30, 30_000);
    return counted;
  }

  test('a relay on the path that hangs for 3 s costs a viewer no frame', async (t) => {
    const counted = await countedStream(t, 'live/still', WATCHED_IN);
    const hops = await eventually('the path is reported', 20_000, async () => {
      const view = (await network.topology()).streams.find((each) => each.stream === 'live/still');
      return view?.paths.find((path) => path.role === 'edge' && path.hops.length > 0)?.hops;
    });
    const victim = hops.find((node) => node.startsWith(`${CROSSED}-relay-`))!;
    const [pid, stoppedAt] = [pidOfNode(victim), performance.now()];
    process.kill(pid, 'SIGSTOP');
    t.after(() => process.kill(pid, 'SIGCONT'));
    // The stopped relay holds its packets: frames can continue only over another path.
    await counted.more(60, 15_000);
    await delay(Math.max(0, stoppedAt + 3_000 - performance.now()));
    process.kill(pid, 'SIGCONT');
    await counted.more(90, 30_000);
    await eventually('it is back in the mesh', 30_000, async () =>
      (await network.topology()).nodes.some(({ node, connected }) => node === victim && connected) ? true : undefined,
    );
    await counted.stop();
    counted.assertWhole(t);
  });

  test('a pull node whose media worker is killed starts a new one, and its viewers reconnect by themselves', async (t) => {
    const elsewhere = await countedStream(t, 'live/worker', CROSSED);
    const here = await openPlainViewer(await network.place('pull', 'live/worker', WATCHED_IN));
    const ending = new CountedStream(undefined, here);
    t.after(() => ending.stop());
    const player = await sdkPlayer(browser, placeOptions('pull', 'live/worker', WATCHED_IN));
    const before = await sdkUntil(player, 'it plays', (view) => view.frames >= 60, 40_000);
    const node = await onlyNodeOf('virginia-pull');
    const [pid, port] = [pidOfNode(node), await mediaPortOf(node)];

    process.kill(workersOf(node)[0]!, 'SIGKILL');
    const moved = await sdkUntil(player, 'it comes back', (view) => view.places.length > before.places.length, 20_000);
    await sdkUntil(player, 'it plays again', (view) => view.frames >= moved.frames + 60, 20_000);
    const { states, moves, longestGapMs } = await observeSdk(player, before.nowMs);
    t.diagnostic(`without a new frame after kill -9 of the media worker: ${Math.round(longestGapMs)} ms; ${states.join(', ')}`);
    assert.deepEqual(moves, ['the media worker died'], 'the node says where to go');
    assert.ok(!states.includes('closed'));

    assert.equal(pidOfNode(node), pid, 'the node itself lives on');
    assert.equal(workersOf(node).length, 1);
    assert.equal(await mediaPortOf(node), port, 'the new worker has the port of the old one');
    const opsUrl = await opsUrlOf(node);
    assert.equal(await metricOf(opsUrl, 'millrace_node_media_workers_lost_total'), 1);
    assert.equal(await metricOf(opsUrl, 'millrace_node_media_workers'), 1);
    const gone = await fetch(new URL(`/rtp/sessions/${here.session.id}`, await signalingUrlOf(node)));
    assert.equal(gone.status, 404, 'a client that hears no events finds its session ended');
    await elsewhere.stop();
    elsewhere.assertWhole(t);
    await player.close();
  });

  const mediaPortOf = async (node: string): Promise<string> =>
    (await kubectl('get', 'medianode', node, '-o', 'jsonpath={.status.endpoints.mediaPorts}')).trim();
  const signalingUrlOf = async (node: string): Promise<string> =>
    (await kubectl('get', 'medianode', node, '-o', 'jsonpath={.status.endpoints.signalingUrl}')).trim();

  test('a push node whose media worker is killed gets its publisher back, and viewers keep their sessions', async (t) => {
    const publisher = await sdkPublisher(browser, placeOptions('push', 'live/origin', PUBLISHED_IN));
    const player = await sdkPlayer(browser, placeOptions('pull', 'live/origin', WATCHED_IN));
    const before = await sdkUntil(player, 'it plays', (view) => view.frames >= 60, 40_000);
    process.kill(workersOf(await onlyNodeOf('tokyo-push'))[0]!, 'SIGKILL');
    await sdkUntil(publisher, 'it publishes again', (view) => view.places.length === 2 && view.state === 'live', 20_000);
    const there = await observeSdk(player);
    await sdkUntil(player, 'it plays again', (view) => view.frames >= there.frames + 60, 20_000);
    const { states, longestGapMs } = await observeSdk(player, before.nowMs);
    t.diagnostic(`without a new frame after kill -9 of the publisher's media worker: ${Math.round(longestGapMs)} ms`);
    assert.deepEqual((await observeSdk(publisher)).moves, ['the media worker died']);
    assert.deepEqual(states, ['connecting', 'live'], 'the viewer kept its session');
    await publisher.close();
    await player.close();
  });

  test('a node whose media workers keep dying becomes unready, but stays up', async () => {
    const node = await onlyNodeOf('frankfurt-pull');
    const [pid, opsUrl] = [pidOfNode(node), await opsUrlOf(node)];
    const ready = async () => (await fetch(new URL('/readyz', opsUrl))).text();
    await eventually('it is not ready', 30_000, async () => {
      for (const worker of workersOf(node)) process.kill(worker, 'SIGKILL');
      return /die again and again/.test(await ready()) ? true : undefined;
    });
    assert.equal(pidOfNode(node), pid);
    const readyNodes = async () => (await kubectl('get', 'mediaedge', 'frankfurt-pull', '-o', 'jsonpath={.status.ready}')).trim();
    await eventually('its edge counts it out', 30_000, async () => ((await readyNodes()) === '0' ? true : undefined));
    await kubectl('delete', 'pod', node, '--force', '--grace-period=0', '--wait=false');
    await eventually('another node takes its place', 40_000, async () => ((await readyNodes()) === '1' ? true : undefined));
  });

  test('publishers that vanish are forgotten, their viewers are notified, and the next publisher of the name is seen in the same session', async (t) => {
    const doomed = await launchBrowser();
    t.after(() => doomed.close());
    const place = (kind: 'push' | 'pull', stream: string) =>
      network.place(kind, stream, kind === 'push' ? PUBLISHED_IN : WATCHED_IN);
    const started = async (start: typeof startWhipPublisher, stream: string): Promise<SupervisedProcess> => {
      const publisher = await start(await place('push', stream), network.stateDir);
      t.after(() => publisher.kill());
      return publisher;
    };
    const killed = await started(startWhipPublisher, 'live/killed');
    const silent = await started(startWhipPublisher, 'live/silent');
    const ffmpeg = await started(startFfmpegPublisher, 'live/ffmpeg');
    await sdkPublisher(doomed, placeOptions('push', 'live/browser', PUBLISHED_IN));
    const play = async (stream: string) => {
      await whenKnown(stream);
      const player = await playWithWerift(await place('pull', stream));
      t.after(() => player.close());
      const events = listenTo(player.session);
      t.after(() => events.stop());
      await eventually(`${stream} plays`, 30_000, () => (player.received.video > 30 ? true : undefined));
      return { ...player, said: events.said };
    };
    const waiting = await play('live/killed');
    const alone = await play('live/silent');
    await whenKnown('live/ffmpeg');
    const plain = new CountedStream(undefined, await openPlainViewer(await place('pull', 'live/ffmpeg')));
    t.after(() => plain.stop());
    await plain.more(30, 30_000);
    await whenKnown('live/browser');
    const page = await sdkPlayer(browser, placeOptions('pull', 'live/browser', WATCHED_IN));
    await sdkUntil(page, 'it plays', (view) => view.frames > 30, 30_000);

    const killedAt = performance.now();
    process.kill(killed.pid, 'SIGKILL');
    process.kill(silent.pid, 'SIGSTOP');
    process.kill(ffmpeg.pid, 'SIGKILL');
    doomed.kill();
    const whenForgotten = (stream: string): Promise<true> =>
      eventually(`${stream} is forgotten`, FORGOTTEN_WITHIN_MS, async () => ((await knows(stream)) ? undefined : true));
    await whenForgotten('live/killed');
    t.diagnostic(`forgotten after ${Math.round(performance.now() - killedAt)} ms`);

    // The next publisher of the name is accepted at once, and waiting viewers see it in their sessions.
    const seen = waiting.received.video;
    await started(startWhipPublisher, 'live/killed');
    await eventually('it is seen', 20_000, () => (waiting.received.video > seen + 30 ? true : undefined));
    assert.equal(waiting.received.ssrcs.size, 1, 'under the SSRC of before');
    assert.deepEqual(waiting.said, ['paused', 'resumed']);

    // A publisher with another codec needs a new session: the node tells the SDK, which opens one.
    await whenForgotten('live/browser');
    const h264 = await sdkPublisher(browser, { ...placeOptions('push', 'live/browser', PUBLISHED_IN), codec: 'video/H264' });
    const back = await sdkUntil(page, 'it moves to the new codec', (view) => view.moves.length > 0, 20_000);
    assert.deepEqual(back.moves, ['the publisher changed its tracks']);
    assert.equal(back.told[0], 'paused');
    await sdkUntil(page, 'it plays the new codec', (view) => view.frames >= back.frames + 30, 20_000);
    assert.ok(!(await observeSdk(page)).states.includes('closed'));
    await page.close();
    await h264.close();

    // When no publisher comes, the sessions end and nothing carries the stream any more.
    await whenForgotten('live/silent');
    await whenForgotten('live/ffmpeg');
    await eventually('the session of the stream that stays away ends', 20_000, () => alone.said.includes('ended') || undefined);
    assert.deepEqual(alone.said, ['paused', 'ended']);
    assert.equal((await fetch(alone.session, { method: 'DELETE' })).status, 200, 'ending what has just ended is no error');
    await fetch(waiting.session, { method: 'DELETE' });
    await eventually('upstream subscriptions are released, although two viewers never left', 45_000, async () => {
      const relays = await nodesOf('virginia-relay');
      const counts = await Promise.all(
        relays.map(async ({ node }) => metricOf(await opsUrlOf(node), 'millrace_relay_subscribers')),
      );
      return counts.every((count) => count === 0) ? true : undefined;
    });
  });

  test('when everything is killed at once, `make up` restores it, and no process is left behind', async (t) => {
    const publisher = await sdkPublisher(browser, placeOptions('push', 'live/all', PUBLISHED_IN));
    const player = await sdkPlayer(browser, placeOptions('pull', 'live/all', WATCHED_IN));
    await sdkUntil(player, 'it plays', (view) => view.frames >= 30, 40_000);
    await kubectl('apply', '-f', new URL('../examples/laptop/osaka.yaml', import.meta.url).pathname);
    await kubectl('scale', 'mediaedge', 'frankfurt-pull', '--replicas=2');
    await kubectl('wait', '--for=jsonpath={.status.ready}=2', 'mediaedge/frankfurt-pull', '--timeout=60s');
    await kubectl('wait', '--for=condition=Ready', 'mediaedge/osaka', '--timeout=60s');
    const edges = await edgesAndReplicas();
    const { stateDir } = network;

    const victims = [network.pid, ...descendantsOf(network.pid)];
    // Workers end with their node, so some are gone before their turn.
    for (const pid of victims) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    await network.kill();
    await eventually('nothing of it runs', 10_000, () => (victims.some(isRunning) ? undefined : true));
    const atKill = await observeSdk(player);
    // On the same ports, which must be free.
    network = await startNetwork({ stateDir, ports });
    useKubectl();

    assert.deepEqual(await edgesAndReplicas(), edges);
    for (const edge of ['frankfurt-pull', 'osaka']) {
      const wanted = edges[edge]!;
      await kubectl('wait', `--for=jsonpath={.status.ready}=${wanted}`, `mediaedge/${edge}`, '--timeout=90s');
    }
    await eventually('each pod runs once, and nothing else', 30_000, async () => {
      const wanted = Object.values(edges).reduce((sum, replicas) => sum + replicas, 0);
      const pods = (await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].metadata.name}')).trim().split(/\s+/);
      assert.equal(pods.length, wanted);
      assert.deepEqual(nodesBeneath(network.pid), pods.sort());
      return true;
    });
    await sdkUntil(publisher, 'the publisher is back', (view) => view.state === 'live' && view.places.length > 1, 60_000);
    const back = await sdkUntil(player, 'the viewer is back', (view) => view.frames >= atKill.frames + 30, 60_000);
    t.diagnostic(`player: ${back.states.join(', ')}`);
    assert.ok(!back.states.includes('closed'));
    await network.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  async function edgesAndReplicas(): Promise<Record<string, number>> {
    const { items } = JSON.parse(await kubectl('get', 'mediaedges', '-o', 'json')) as {
      items: { metadata: { name: string }; spec: { replicas: number } }[];
    };
    return Object.fromEntries(items.map(({ metadata, spec }) => [metadata.name, spec.replicas]));
  }
});
