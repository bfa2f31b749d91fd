import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { mediaNodes } from '@millrace/api';
import { createKubeClient, loadKubeconfig, type KubeClient } from '@millrace/kube';
import { newPlayer, newPublisher, type Player, type Publisher } from '@millrace/testkit/webrtc';
import { eventually, startNetwork, type TestNetwork } from '@millrace/testbed/network';
import { pidOfNode, pidsOfNode } from '@millrace/testbed/node-process';

const NAMESPACE = 'default';
/** Delays before each restart, s: none before the first, then 1 s doubled each time. */
const ONE_NODE_WAITS_S = [0, 1, 2, 4, 8];
const RESTARTS = 20;
/** Maximum time that a Node process needs to start on a busy machine, ms. */
const START_MS = 15_000;

/** Kills a node repeatedly; its lives must leave nothing behind. */
describe('a node that dies twenty times', { timeout: 290_000 }, () => {
  let network: TestNetwork;
  let client: KubeClient;
  let publisher: Publisher;
  let viewer: Player;

  before(async () => {
    network = await startNetwork();
    client = createKubeClient({ kubeconfig: loadKubeconfig({ file: network.kubeconfig }) });
    publisher = await newPublisher();
    const push = await network.place('push', 'live/restarts', 'tokyo');
    await publisher.accept(await exchange(push, publisher.offer));
    viewer = await newPlayer();
    const pull = await eventually('the stream is known', 15_000, () => network.place('pull', 'live/restarts', 'virginia'));
    await viewer.accept(await exchange(pull, viewer.offer));
    await eventually('video arrives', 30_000, () => (viewer.received.video > 30 ? true : undefined));
  });
  after(async () => {
    await viewer?.close();
    await publisher?.close();
    client?.close();
    await network?.stop();
  });

  test('is restarted with growing back-off, and the network is as before', async () => {
    const relays = await relaysOf('virginia');
    // Each relay dies once before the first measurement, since what a first death creates, such as a label, is not growth.
    for (const relay of relays) await killAndWait(relay);
    await isWhole();
    const before = await accountOf();
    const [victim, other] = relays as [string, string];
    for (const waitS of ONE_NODE_WAITS_S.slice(1)) {
      const tookMs = await killAndWait(victim);
      assert.ok(tookMs >= waitS * 1_000 - 100, `restarted after ${tookMs} ms, not ${waitS} s`);
      assert.ok(tookMs < waitS * 1_000 + START_MS, `restarted only after ${tookMs} ms, not ${waitS} s`);
    }
    // The remaining deaths are spread over all relays, whose back-off is still short.
    const spread = [other, ...(await relaysOf('frankfurt')), ...(await relaysOf('tokyo'))];
    const rest = RESTARTS - ONE_NODE_WAITS_S.length + 1;
    for (let death = 0; death < rest; death++) await killAndWait(spread[death % spread.length]!);
    await isWhole();
    const seen = viewer.received.video;
    await eventually('the viewer goes on', 20_000, () => (viewer.received.video > seen + 60 ? true : undefined));

    const now = await eventually('the account settles', 30_000, async () => {
      const account = await accountOf();
      return account.descriptors <= before.descriptors + 8 ? account : undefined;
    });
    assert.deepEqual(
      { nodes: now.nodes, processes: now.processes, children: now.children },
      { nodes: before.nodes, processes: before.processes, children: before.children },
    );
    assert.ok(now.rssKib < before.rssKib + 60 * 1_024, `resident memory went from ${before.rssKib} to ${now.rssKib} KiB`);
    assert.ok(now.metrics <= before.metrics + 3, `rows of metrics went from ${before.metrics} to ${now.metrics}`);
  });

  const nodesOf = async () => (await client.list(mediaNodes, { namespace: NAMESPACE })).items;
  const relaysOf = async (region: string): Promise<string[]> =>
    (await network.topology()).nodes
      .filter((node) => node.region === region && node.roles.includes('relay'))
      .map(({ node }) => node)
      .sort();

  /** Kills a node; returns the time until its next process started, ms. */
  async function killAndWait(node: string): Promise<number> {
    const pid = await eventually(`${node} runs`, START_MS, () => pidOfNode(node));
    process.kill(pid, 'SIGKILL');
    const killedMs = performance.now();
    await eventually(`${node} is back`, 40_000, () => {
      const [now] = pidsOfNode(node).filter((each) => each !== pid);
      return now;
    });
    return performance.now() - killedMs;
  }

  /** Waits until every node is connected, every trunk between relays is up, and every route to the viewers has a backup. */
  async function isWhole(): Promise<void> {
    await eventually('the mesh is whole', 60_000, async () => {
      const { nodes, links, routes } = await network.topology();
      const isUp = nodes.length === 9 && nodes.every(({ connected }) => connected);
      const down = links.filter(({ state }) => state !== 'Up');
      const backed = routes.filter(({ from, to }) => from === 'tokyo' && to === 'virginia');
      if (!isUp || down.length > 0) throw new Error(`${nodes.length} nodes, ${down.length} links are not up`);
      return backed.length > 0 && backed.every(({ backup }) => backup) ? true : undefined;
    });
  }

  async function accountOf() {
    const nodes = await nodesOf();
    const rows = await Promise.all(nodes.flatMap(({ status }) => status?.endpoints?.opsUrl ?? []).map(metricRows));
    const status = readFileSync(`/proc/${network.pid}/status`, 'utf8');
    return {
      nodes: nodes.map(({ metadata }) => metadata.name).sort(),
      processes: nodes.flatMap(({ metadata }) => pidsOfNode(metadata.name)).length,
      children: childrenOf(network.pid).length,
      descriptors: readdirSync(`/proc/${network.pid}/fd`).length,
      rssKib: Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]),
      metrics: Math.max(...rows),
    };
  }
});

async function exchange({ url, token }: { url: string; token: string }, offer: string): Promise<string> {
  const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${token}` };
  const response = await fetch(url, { method: 'POST', headers, body: offer });
  assert.equal(response.status, 201, await response.clone().text());
  return response.text();
}

async function metricRows(opsUrl: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', opsUrl))).text();
  return text.split('\n').filter((line) => line.startsWith('millrace_')).length;
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((each) => {
      try {
        const stat = readFileSync(`/proc/${each}/stat`, 'utf8');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(parent) === pid && state !== 'Z';
      } catch {
        return false;
      }
    });
}
