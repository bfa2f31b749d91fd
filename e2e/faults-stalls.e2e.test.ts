import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Topology } from '@millrace/api';
import { encodeClip } from '@millrace/testkit/media';
import { openPlainViewer, publishClip } from '@millrace/testkit/media';
import { launchBrowser, type Browser, type Page } from '@millrace/testbed/browser';
import { CountedStream } from './src/counted-stream.ts';
import { kubectlOf } from './src/kube-cluster.ts';
import { delay, eventually, startNetwork, type TestNetwork } from '@millrace/testbed/network';
import { pidOfNode } from '@millrace/testbed/node-process';
import { observeSdk, sdkPlayer, sdkPublisher, sdkUntil } from './src/sdk-page.ts';

const STREAM = 'live/stall';
const PUBLISHED_IN = 'tokyo';
const WATCHED_IN = 'virginia';
/** Maximum time until the SDK leaves a node that hangs (docs/faults.md: 6 s, 20 s for publishers), with margin for a busy machine. */
const LEFT_WITHIN_MS = 60_000;

/**
 * Nodes that hang: their sockets stay open, their media workers answer ICE and send reports, and no media goes through. Also the loss of
 * all relays of a region.
 */
describe('faults of nodes that hang, and of all relays of a region', { timeout: 420_000 }, () => {
  let network: TestNetwork;
  let browser: Browser;
  let kubectl: (...args: string[]) => Promise<string>;
  let publisher: Page;
  let player: Page;

  before(async () => {
    browser = await launchBrowser();
    network = await startNetwork();
    kubectl = kubectlOf(
      join(process.env['MILLRACE_KUBERNETES_BIN'] ?? '', 'kubectl'),
      network.kubeconfig,
      network.stateDir,
    ).kubectl;
    for (const edge of ['tokyo-push', 'virginia-pull']) await kubectl('scale', 'mediaedge', edge, '--replicas=2');
    for (const edge of ['tokyo-push', 'virginia-pull'])
      await kubectl('wait', '--for=jsonpath={.status.ready}=2', `mediaedge/${edge}`, '--timeout=90s');
    publisher = await sdkPublisher(browser, placeOptions('push', PUBLISHED_IN));
    player = await sdkPlayer(browser, placeOptions('pull', WATCHED_IN));
    await sdkUntil(player, 'it plays', (view) => view.frames >= 60, 40_000);
  });
  after(async () => {
    await browser?.close();
    await network?.stop();
  });

  const placeOptions = (kind: 'push' | 'pull', region: string) => ({
    placeUrl: new URL(`/api/place/${kind}`, network.consoleUrl).href,
    stream: STREAM,
    region,
  });
  const streamOf = async (stream: string): Promise<Topology['streams'][number] | undefined> =>
    (await network.topology()).streams.find((each) => each.stream === stream);
  const placedAt = async (page: Page): Promise<string> => (await observeSdk(page)).places.at(-1)!;
  const allConnected = () =>
    eventually('all nodes are connected', 90_000, async () => {
      const { nodes } = await network.topology();
      return nodes.length === 11 && nodes.every(({ connected }) => connected) ? true : undefined;
    });

  /** Stops a process with SIGSTOP until the test ends, or until the returned function is called. */
  function hang(t: TestContext, node: string): { goOn: () => void } {
    const pid = pidOfNode(node);
    const goOn = (): void => void process.kill(pid, 'SIGCONT');
    process.kill(pid, 'SIGSTOP');
    t.after(goOn);
    return { goOn };
  }

  test('viewers leave a pull node that hangs for another, although its media worker still answers', async (t) => {
    const before = await observeSdk(player);
    const { goOn } = hang(t, before.places.at(-1)!);
    const there = await sdkUntil(
      player,
      'it plays elsewhere',
      (view) => view.places.length > before.places.length,
      LEFT_WITHIN_MS,
    );
    await sdkUntil(player, 'pictures come', (view) => view.frames >= there.frames + 60, 30_000);
    assert.notEqual(there.places.at(-1), before.places.at(-1));
    const { states, longestGapMs } = await observeSdk(player, before.nowMs);
    t.diagnostic(`without a new frame after the pull node hung: ${Math.round(longestGapMs)} ms`);
    assert.ok(!states.includes('closed'));
    goOn();
    await allConnected();
    await delay(3_000);
    assert.equal(await placedAt(player), there.places.at(-1), 'and it stays there');
  });

  test('a publisher whose node hangs goes to another; the old node does not disturb the stream when it resumes', async (t) => {
    const [before, ofPublisher] = [await observeSdk(player), await observeSdk(publisher)];
    const from = ofPublisher.places.at(-1)!;
    const { goOn } = hang(t, from);
    const there = await sdkUntil(
      publisher,
      'it publishes elsewhere',
      (view) => view.places.length > ofPublisher.places.length && view.state === 'live',
      LEFT_WITHIN_MS,
    );
    assert.notEqual(there.places.at(-1), from);
    const atReturn = await observeSdk(player);
    const again = await sdkUntil(player, 'pictures come', (view) => view.frames >= atReturn.frames + 60, 40_000);
    const { longestGapMs } = await observeSdk(player, before.nowMs);
    t.diagnostic(`without a new frame after the push node hung: ${Math.round(longestGapMs)} ms`);
    goOn();
    await allConnected();
    await eventually('the stream is where its publisher is', 20_000, async () =>
      (await streamOf(STREAM))?.origin.node === there.places.at(-1) ? true : undefined,
    );
    await sdkUntil(player, 'pictures still come', (view) => view.frames >= again.frames + 150, 30_000);
    const [watching, publishing] = [await observeSdk(player), await observeSdk(publisher)];
    assert.equal(publishing.places.at(-1), there.places.at(-1));
    assert.deepEqual([publishing.state, watching.state], ['live', 'live']);
  });

  test('with all relays of the viewers’ region dead at once, their node takes the stream directly from its origin, and no frame is missing', async (t) => {
    await allConnected();
    const clip = await encodeClip();
    // Matches no StreamRoute, so no policy requires a region on its path.
    const stream = 'other/region';
    const source = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
    await eventually('it is known', 20_000, () => streamOf(stream));
    const counted = new CountedStream(source, await openPlainViewer(await network.place('pull', stream, WATCHED_IN)));
    t.after(() => counted.stop());
    await counted.more(60, 30_000);
    const relays = (await network.topology()).nodes.filter(
      ({ region, roles }) => region === WATCHED_IN && roles.includes('relay'),
    );
    assert.equal(relays.length, 2);
    for (const { node } of relays) process.kill(pidOfNode(node), 'SIGKILL');
    await counted.more(120, 30_000);
    await allConnected();
    await counted.more(60, 30_000);
    await counted.stop();
    counted.assertWhole(t);
  });
});
