import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { encodeClip } from '@millrace/testkit/media';
import { openPlainViewer, publishClip } from '@millrace/testkit/media';
import { killableApis, startControlPlane, type ControlPlane } from './src/control-plane.ts';
import { CountedStream } from './src/counted-stream.ts';
import { delay, eventually } from '@millrace/testbed/network';
import { pidOfNode, pidsOfNode } from '@millrace/testbed/node-process';

const STREAM = 'live/steady';

/** Kills or stops operator, control and the API while a stream crosses two relays, and counts its frames. */
for (const { name, isReal, start } of killableApis) {
  describe(`faults of the control plane on ${name}`, { timeout: 300_000 }, () => {
    let plane: ControlPlane;
    let counted: CountedStream;

    before(async () => {
      const clip = await encodeClip();
      plane = await startControlPlane(start);
      await plane.kubectlWithInput(smallNetwork(), 'apply', '-f', '-');
      await meshIsReady();
      const publisher = await publishClip(await whenPlaced('push', 'tokyo'), clip);
      await whenKnown();
      counted = new CountedStream(publisher, await openPlainViewer(await whenPlaced('pull', 'virginia')));
      await counted.more(30, 30_000);
    });
    after(async () => {
      await counted?.stop();
      await plane?.stop();
    });

    const meshIsReady = () =>
      plane.kubectl('wait', '--for=condition=Ready', 'relaymesh/world', '--timeout=90s').catch(async (error: unknown) => {
        throw new Error(
          `${String(error)}\n${await plane.kubectl('get', 'pods,mediaedges,medianodes,relaymeshes', '-o', 'wide')}`,
        );
      });
    const whenPlaced = (kind: 'push' | 'pull', region: string) =>
      eventually(`a place to ${kind}`, 30_000, () => plane.place(kind, STREAM, region));
    const whenKnown = () => eventually('control knows the stream', 30_000, () => plane.stream(STREAM));

    /** Each pod with its process. */
    async function processes(): Promise<Record<string, number>> {
      return Object.fromEntries((await pods()).map(({ name: pod, uid }) => [uid, pidOfNode(pod)]));
    }
    async function pods(): Promise<{ name: string; uid: string }[]> {
      const { items } = JSON.parse(await plane.kubectl('get', 'pods', '-o', 'json')) as {
        items: { metadata: { name: string; uid: string; deletionTimestamp?: string } }[];
      };
      return items.map(({ metadata }) => metadata);
    }
    const allConnected = () =>
      eventually('all nodes are connected', 60_000, async () => {
        const path = 'jsonpath={.items[*].status.conditions[?(@.type=="AgentConnected")].status}';
        const states = (await plane.kubectl('get', 'medianodes', '-o', path)).trim().split(/\s+/);
        return states.length === (await pods()).length && states.every((state) => state === 'True') ? true : undefined;
      });

    test('while operator, control and API are dead every frame arrives and a new viewer can join; afterwards the state is as before', async (t) => {
      const before = await processes();
      const { epoch, origin } = await whenKnown();
      const pull = await plane.place('pull', STREAM, 'virginia');
      await plane.operator.kill();
      await plane.control.kill();
      await plane.api.kill();
      await counted.more(60, 20_000);
      const late = new CountedStream(undefined, await openPlainViewer(pull));
      t.after(() => late.stop());
      await late.more(60, 20_000);

      await plane.api.start();
      await Promise.all([plane.control.start(), plane.operator.start()]);
      const known = await whenKnown();
      assert.deepEqual([known.epoch, known.origin], [epoch, origin], 'the stream is the one of before');
      await meshIsReady();
      await allConnected();
      await eventually('its viewers are counted again', 20_000, async () =>
        (await plane.stream(STREAM))?.viewers === 2 ? true : undefined,
      );
      assert.deepEqual(await processes(), before, 'no pod and no process was added or exchanged');
      await counted.more(30, 20_000);
      counted.assertWhole(t);
      late.assertWhole(t);
    });

    // The next two tests do not depend on which API serves, so each runs on one.
    test('an operator that is killed while it creates pods creates none twice', { skip: !isReal }, async (t) => {
      const seen = new Set((await pods()).map(({ uid }) => uid));
      const before = seen.size;
      const look = async (): Promise<void> => {
        for (const { uid } of await pods()) seen.add(uid);
      };
      await plane.kubectl('scale', 'mediaedge', 'virginia-pull', '--replicas=4');
      // Kills the operator during the creations, together with the API, whatever requests that has answered by then.
      await eventually('a pod is made', 30_000, async () => {
        await look();
        return seen.size > before ? true : undefined;
      });
      await Promise.all([plane.operator.kill(), plane.api.kill()]);
      await plane.api.start();
      await plane.operator.start();
      const startedAt = performance.now();
      await plane.kubectl('wait', '--for=jsonpath={.status.ready}=4', 'mediaedge/virginia-pull', '--timeout=90s');
      t.diagnostic(`all pods were ready ${Math.round(performance.now() - startedAt)} ms after the operator's restart`);
      await look();
      assert.equal(seen.size, before + 3, 'pods that ever were');
      for (const { name: pod } of await pods()) assert.equal(pidsOfNode(pod).length, 1, pod);
      await counted.more(30, 20_000);
      counted.assertWhole(t);
    });

    test('a control that hangs for 10 s loses no frame, no node and no stream', { skip: isReal }, async (t) => {
      await allConnected();
      const { epoch } = await whenKnown();
      plane.control.hang();
      await counted.more(60, 20_000);
      await delay(8_000);
      plane.control.goOn();
      await counted.more(60, 20_000);
      assert.equal((await whenKnown()).epoch, epoch);
      await allConnected();
      counted.assertWhole(t);
    });
  });
}

/** Only two regions with four nodes, since several of these networks run on a small machine. */
function smallNetwork(): string {
  const metadata = (name: string) => ({ name, namespace: 'default' });
  const apiVersion = 'millrace.dev/v1alpha1';
  const edge = (region: string, role: string) => ({
    apiVersion,
    kind: 'MediaEdge',
    metadata: metadata(`${region}-${role}`),
    spec: {
      region,
      roles: [role],
      meshRef: { name: 'world' },
      network: {
        ...{ mediaPort: 0, trunkPort: 0, signalingPort: 0, opsPort: 0, rtpPorts: { min: 0, max: 0 } },
        announcedAddress: { source: 'Static', address: '127.0.0.1' },
      },
      cpu: { cores: 1 },
      update: { maxSurge: 1, maxUnavailable: 0 },
    },
  });
  const mesh = { apiVersion, kind: 'RelayMesh', metadata: metadata('world'), spec: {} };
  const edges = [edge('tokyo', 'push'), edge('tokyo', 'relay'), edge('virginia', 'relay'), edge('virginia', 'pull')];
  return [mesh, ...edges].map((each) => JSON.stringify(each)).join('\n---\n');
}
