import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, type Browser, type Page } from '@millrace/testbed/browser';
import { kubectlOf } from './src/kube-cluster.ts';
import type { TestNetwork } from '@millrace/testbed/network';
import { eventually, startNetwork } from '@millrace/testbed/network';
import { pidOfNode } from '@millrace/testbed/node-process';
import { observeSdk, sdkPlayer, sdkPublisher, sdkUntil, type SdkView } from './src/sdk-page.ts';

const STREAM = 'live/sdk';

/** The SDK in a browser, while its nodes are drained and killed. */
describe('the SDK follows its stream from node to node', { timeout: 420_000 }, () => {
  let network: TestNetwork;
  let browser: Browser;
  let kubectl: (...args: string[]) => Promise<string>;
  let publisher: Page;
  let player: Page;

  before(async () => {
    browser = await launchBrowser();
    network = await startNetwork({ source: 'none' });
    const program = join(process.env['MILLRACE_KUBERNETES_BIN'] ?? '', 'kubectl');
    kubectl = kubectlOf(program, network.kubeconfig, network.stateDir).kubectl;
    publisher = await sdkPublisher(browser, placeOptions('push', 'tokyo'));
    player = await sdkPlayer(browser, placeOptions('pull', 'virginia'));
  });
  after(async () => {
    await browser?.close();
    await network?.stop();
  });

  const placeOptions = (kind: 'push' | 'pull', region: string, avoid: string[] = []) => ({
    placeUrl: new URL(`/api/place/${kind}`, network.consoleUrl).href,
    stream: STREAM,
    region,
    avoid,
  });
  const scale = async (edge: string, replicas: number): Promise<void> => {
    await kubectl('scale', 'mediaedge', edge, `--replicas=${replicas}`);
    await kubectl('wait', `--for=jsonpath={.status.ready}=${replicas}`, `mediaedge/${edge}`, '--timeout=60s');
  };
  const moreFrames = (since: SdkView, count: number, withinMs: number): Promise<SdkView> =>
    sdkUntil(player, `${count} more frames`, (view) => view.frames >= since.frames + count, withinMs);
  const isPlaceable = (kind: 'push' | 'pull', region: string, count: number): Promise<true> =>
    eventually(`${count} nodes take clients`, 30_000, async () => {
      const { node, alternatives } = await network.place(kind, STREAM, region);
      const prefix = `${region}-${kind}-`;
      const fit = [node, ...alternatives.map((place) => place.node)].filter((name) => name.startsWith(prefix));
      return fit.length === count ? true : undefined;
    });

  test('a camera is published and played: video and sound arrive, and bandwidth is estimated', async () => {
    const view = await sdkUntil(player, 'it plays', (seen) => seen.frames >= 60 && seen.audioEnergy > 0, 40_000);
    assert.equal(view.state, 'live');
    assert.ok(view.hasTransportCc, 'the node numbers packets for congestion control');
  });

  test('a node that is scaled down moves its viewer to another node, and playback continues', async (t) => {
    await scale('virginia-pull', 2);
    await isPlaceable('pull', 'virginia', 2);
    const from = (await observeSdk(player)).places.at(-1)!;
    // The operator drains the node with the fewest sessions: two more viewers on the other node make that the first player's.
    const others = [];
    for (let i = 0; i < 2; i++) others.push(await sdkPlayer(browser, placeOptions('pull', 'virginia', [from])));
    await eventually('the others are counted', 20_000, async () => {
      const { nodes } = await network.topology();
      return (
        nodes.some(({ node, load }) => node.startsWith('virginia-pull-') && node !== from && load?.sessions === 2) || undefined
      );
    });
    const before = await observeSdk(player);
    await kubectl('scale', 'mediaedge', 'virginia-pull', '--replicas=1');
    const moved = await sdkUntil(player, 'it moves', (view) => view.moves.length > 0 && view.places.at(-1) !== from, 60_000);
    assert.match(moved.moves[0]!, /drained/);
    await moreFrames(moved, 60, 20_000);
    const { longestGapMs, states, places } = await observeSdk(player, before.nowMs);
    t.diagnostic(
      `longest time without a new frame during the move: ${Math.round(longestGapMs)} ms; places: ${places.join(', ')}`,
    );
    assert.deepEqual(states, ['connecting', 'live'], 'the session never went down');
    await kubectl('wait', '--for=jsonpath={.status.replicas}=1', 'mediaedge/virginia-pull', '--timeout=90s');
    for (const page of others) await page.close();
  });

  test('the SDK leaves a pull node that is killed for another one, without action by the app', async (t) => {
    const before = await observeSdk(player);
    process.kill(pidOfNode(before.places.at(-1)!), 'SIGKILL');
    await sdkUntil(player, 'it notices', (view) => view.states.includes('reconnecting'), 20_000);
    const again = await sdkUntil(player, 'it is live again', (view) => view.state === 'live', 30_000);
    await moreFrames(again, 60, 20_000);
    const { longestGapMs, states } = await observeSdk(player, before.nowMs);
    t.diagnostic(`without a new frame after kill -9 of the pull node: ${Math.round(longestGapMs)} ms`);
    assert.ok(!states.includes('closed'));
  });

  test('a publisher whose node is killed moves to the other one, and viewers see it again', async (t) => {
    await scale('tokyo-push', 2);
    await isPlaceable('push', 'tokyo', 2);
    const before = await observeSdk(player);
    const from = (await observeSdk(publisher)).places.at(-1)!;
    process.kill(pidOfNode(from), 'SIGKILL');
    const there = await sdkUntil(
      publisher,
      'it publishes again',
      (view) => view.places.length > 1 && view.state === 'live',
      40_000,
    );
    assert.notEqual(there.places.at(-1), from);
    const atReturn = await observeSdk(player);
    await moreFrames(atReturn, 60, 30_000);
    const { longestGapMs, states } = await observeSdk(player, before.nowMs);
    t.diagnostic(
      `without a new frame after kill -9 of the push node: ${Math.round(longestGapMs)} ms; player: ${states.join(', ')}`,
    );
    assert.ok(!states.includes('closed'));
    assert.deepEqual(states, before.states, 'the viewer kept its session');
    await sdkUntil(player, 'sound', (view) => view.audioEnergy > 0, 20_000);
  });

  test('a push node that is told to stop hands its publisher over, and viewers keep their sessions', async (t) => {
    await isPlaceable('push', 'tokyo', 2);
    const [before, ofPublisher] = [await observeSdk(player), await observeSdk(publisher)];
    const from = ofPublisher.places.at(-1)!;
    await kubectl('delete', 'pod', from, '--wait=false');
    const moved = await sdkUntil(publisher, 'it publishes elsewhere', (view) => view.places.at(-1) !== from, 20_000);
    assert.deepEqual(moved.moves, ['this node stops']);
    assert.deepEqual(moved.states, ofPublisher.states, 'the publisher was live all the time');
    const atMove = await observeSdk(player);
    await moreFrames(atMove, 60, 30_000);
    const { longestGapMs, states } = await observeSdk(player, before.nowMs);
    t.diagnostic(`without a new frame while the publisher moved: ${Math.round(longestGapMs)} ms`);
    assert.deepEqual(states, before.states, 'the viewer kept its session');
  });
});
