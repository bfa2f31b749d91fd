import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Claim, DirectoryChange, NodePresence, StreamDirectory } from './directory.ts';

export interface DirectoryUnderTest {
  directory: StreamDirectory;
  /** The same directory as another control replica sees it; the same object where there is only one. */
  other: StreamDirectory;
  /** Lets this many lease durations pass. */
  passLeases: (count: number) => Promise<void>;
  close: () => Promise<void>;
}

/** The tests that every StreamDirectory must pass. */
export function directoryContract(name: string, create: () => Promise<DirectoryUnderTest>): void {
  const withDirectory = (run: (under: DirectoryUnderTest) => Promise<void>) => async (): Promise<void> => {
    const under = await create();
    try {
      await run(under);
    } finally {
      await under.close();
    }
  };
  const behaves = (sentence: string, run: (under: DirectoryUnderTest) => Promise<void>): void =>
    void test(sentence, withDirectory(run));

  describe(name, () => {
    behaves('a published stream is found with all that was said about it, on each replica', async ({ directory, other }) => {
      const outcome = await directory.publish(claim({ user: 'anna' }));
      assert.ok(outcome.ok);
      const { takeover: _, ...said } = claim({ user: 'anna' });
      assert.deepEqual(await other.get('live/demo'), { ...said, epoch: outcome.entry.epoch, since: outcome.entry.since });
      assert.equal(await other.get('live/none'), undefined);
    });

    behaves('any text that may name a user stays that user, for every replica', async ({ directory, other }) => {
      const { changes, until } = listen(other);
      const crafted = JSON.stringify({
        stream: 'live/victim',
        node: 'b',
        region: 'eu',
        host: '203.0.113.66',
        port: 9,
        session: 'z',
      });
      const users = [
        'bob\nbuilder',
        '\r',
        '\0',
        '"',
        '\\"}',
        `x\n${crafted}`,
        `","entry":${crafted}`,
        '😀'.repeat(128),
        ']]',
        '%s',
        'null',
      ];
      for (const [i, user] of users.entries()) {
        const named = claim({ stream: `live/s${i}`, session: `s${i}`, user });
        const outcome = await directory.publish(named);
        assert.ok(outcome.ok);
        assert.equal((await other.get(`live/s${i}`))?.user, user);
        await directory.announce({
          node: 'a',
          region: 'eu',
          host: '192.0.2.1',
          port: 1,
          publications: [{ stream: `live/s${i}`, epoch: outcome.entry.epoch, session: `s${i}`, tracks: [] }],
        });
        assert.equal((await other.get(`live/s${i}`))?.user, user, 'a node that comes back does not know the user');
      }
      await directory.publish(claim({ stream: 'live/last', session: 'last' }));
      await until((all) => all.some((change) => change.type === 'published' && change.entry.stream === 'live/last'));
      const seen = changes.flatMap((change) => (change.type === 'published' ? [change.entry.stream] : []));
      assert.ok(
        seen.every((stream) => /^live\/(s\d+|last)$/.test(stream)),
        `of others: ${seen.join()}`,
      );
    });

    behaves('a second publisher is refused and told who holds the name', async ({ directory, other }) => {
      const first = await directory.publish(claim());
      const second = await other.publish(claim({ node: 'b', session: 's2' }));
      assert.ok(first.ok && !second.ok);
      assert.deepEqual(second.holder, first.entry);
    });

    behaves('the same session may repeat its claim and keeps its epoch', async ({ directory }) => {
      const first = await directory.publish(claim());
      const again = await directory.publish(claim({ tracks: [] }));
      assert.ok(first.ok && again.ok);
      assert.equal(again.entry.epoch, first.entry.epoch);
      assert.equal(again.replaced, undefined);
      assert.deepEqual((await directory.get('live/demo'))?.tracks, []);
    });

    behaves('a takeover gets a higher epoch and names whom it replaced', async ({ directory, other }) => {
      const first = await directory.publish(claim());
      const second = await other.publish(claim({ node: 'b', session: 's2', takeover: true }));
      assert.ok(first.ok && second.ok);
      assert.ok(second.entry.epoch > first.entry.epoch);
      assert.deepEqual(second.replaced, first.entry);
      assert.deepEqual((await directory.list({ node: 'a', limit: 10 })).items, []);
    });

    behaves('of two claims at once exactly one wins', async ({ directory, other }) => {
      const outcomes = await Promise.all([directory.publish(claim()), other.publish(claim({ node: 'b', session: 's2' }))]);
      assert.equal(outcomes.filter((outcome) => outcome.ok).length, 1);
    });

    behaves('epochs of a name grow although it was unpublished in between', async ({ directory }) => {
      const epochs: number[] = [];
      for (let i = 0; i < 4; i++) {
        const outcome = await directory.publish(claim({ session: `s${i}` }));
        assert.ok(outcome.ok);
        epochs.push(outcome.entry.epoch);
        assert.equal(await directory.unpublish('live/demo', outcome.entry.epoch, `s${i}`), true);
      }
      assert.deepEqual(
        epochs,
        [...new Set(epochs)].sort((a, b) => a - b),
      );
    });

    behaves('only the session and epoch that live can unpublish', async ({ directory }) => {
      const outcome = await directory.publish(claim());
      assert.ok(outcome.ok);
      assert.equal(await directory.unpublish('live/demo', outcome.entry.epoch - 1, 's1'), false);
      assert.equal(await directory.unpublish('live/demo', outcome.entry.epoch, 's2'), false);
      assert.ok(await directory.get('live/demo'));
      assert.equal(await directory.unpublish('live/demo', outcome.entry.epoch, 's1'), true);
      assert.equal(await directory.get('live/demo'), undefined);
      assert.equal(await directory.unpublish('live/demo', outcome.entry.epoch, 's1'), false);
    });

    behaves('lists are by name, by node or prefix, in pages', async ({ directory, other }) => {
      for (const stream of ['live/c', 'live/a', 'vod/a', 'live/b'])
        await directory.publish(claim({ stream, node: stream === 'live/b' ? 'b' : 'a' }));
      const first = await other.list({ prefix: 'live/', limit: 2 });
      assert.deepEqual(
        first.items.map((entry) => entry.stream),
        ['live/a', 'live/b'],
      );
      const second = await other.list({ prefix: 'live/', limit: 2, continue: first.continue! });
      assert.deepEqual(
        second.items.map((entry) => entry.stream),
        ['live/c'],
      );
      assert.equal(second.continue, undefined);
      const mine = await other.list({ node: 'a', limit: 10 });
      assert.deepEqual(
        mine.items.map((entry) => entry.stream),
        ['live/a', 'live/c', 'vod/a'],
      );
      assert.deepEqual((await other.list({ limit: 10 })).items.length, 4);
    });

    behaves('heartbeats keep a node and its streams for longer than a lease', async ({ directory, passLeases }) => {
      await directory.heartbeat(presence('a'));
      await directory.publish(claim());
      for (let i = 0; i < 4; i++) {
        await passLeases(0.5);
        await directory.heartbeat(presence('a'));
      }
      assert.ok(await directory.get('live/demo'));
      assert.deepEqual(
        (await directory.nodes()).map((node) => node.node),
        ['a'],
      );
    });

    behaves(
      'a node that is silent for a lease loses its streams, and watchers hear of each',
      async ({ directory, other, passLeases }) => {
        await directory.heartbeat(presence('a'));
        const outcome = await directory.publish(claim());
        assert.ok(outcome.ok);
        const heard = listen(other);
        await passLeases(1.2);
        await heard.until((changes) => changes.some((change) => change.type === 'node-gone' && change.node === 'a'));
        assert.ok(
          heard.changes.some(
            (change) => change.type === 'removed' && change.stream === 'live/demo' && change.epoch === outcome.entry.epoch,
          ),
        );
        assert.equal(await other.get('live/demo'), undefined);
      },
    );

    behaves('the name of a dead publisher is free', async ({ directory, passLeases }) => {
      const first = await directory.publish(claim());
      await passLeases(1.2);
      const second = await directory.publish(claim({ node: 'b', session: 's2' }));
      assert.ok(first.ok && second.ok);
      assert.ok(second.entry.epoch > first.entry.epoch);
    });

    behaves('a node that comes back takes its streams in again with their epochs', async ({ directory }) => {
      const held = await directory.announce(announcement('a', [{ stream: 'live/demo', epoch: 1000 }]));
      assert.deepEqual(held, []);
      assert.equal((await directory.get('live/demo'))?.epoch, 1000);
      const next = await directory.publish(claim({ node: 'b', session: 's2', takeover: true }));
      assert.ok(next.ok && next.entry.epoch > 1000);
    });

    behaves('epochs go on above an announced one that lies in the future', async ({ directory }) => {
      const future = 2 ** 47;
      await directory.announce(announcement('a', [{ stream: 'live/demo', epoch: future }]));
      const next = await directory.publish(claim({ node: 'b', session: 's2', takeover: true }));
      assert.ok(next.ok);
      assert.equal(next.entry.epoch, future + 1);
    });

    behaves('of two nodes that announce one name the higher epoch wins, whoever comes first', async ({ directory }) => {
      const epochs = { a: 1000, b: 1001 };
      for (const order of [['a', 'b'] as const, ['b', 'a'] as const]) {
        const held = [];
        for (const node of order)
          held.push(...(await directory.announce(announcement(node, [{ stream: 'live/demo', epoch: epochs[node] }]))));
        assert.equal((await directory.get('live/demo'))?.node, 'b');
        assert.deepEqual(
          held.map((one) => one.holder?.node),
          order[0] === 'b' ? ['b'] : [],
        );
        await directory.dropNode('a');
        await directory.dropNode('b');
      }
    });

    behaves('an epoch that was given back, or after which another was given out, never comes back', async ({ directory }) => {
      const first = await directory.publish(claim());
      assert.ok(first.ok);
      const { epoch } = first.entry;
      // A node whose lease has ended has not given it back.
      await directory.dropNode('a');
      assert.deepEqual(await directory.announce(announcement('a', [{ stream: 'live/demo', epoch }])), []);
      assert.equal((await directory.get('live/demo'))?.epoch, epoch);

      const second = await directory.publish(claim({ node: 'b', session: 's2', takeover: true }));
      assert.ok(second.ok);
      await directory.dropNode('b');
      const replayed = await directory.announce(announcement('a', [{ stream: 'live/demo', epoch }]));
      assert.deepEqual(
        replayed.map(({ stream, holder }) => [stream, holder]),
        [['live/demo', undefined]],
      );
      assert.equal(await directory.get('live/demo'), undefined);

      const third = await directory.publish(claim());
      assert.ok(third.ok);
      assert.ok(await directory.unpublish('live/demo', third.entry.epoch, third.entry.session));
      const given = await directory.announce(announcement('a', [{ stream: 'live/demo', epoch: third.entry.epoch }]));
      assert.equal(given.length, 1);
      assert.equal(await directory.get('live/demo'), undefined);
    });

    behaves('a description changes the tracks of the publication that it names, and of no other', async ({ directory }) => {
      const first = await directory.publish(claim({ user: 'anna' }));
      assert.ok(first.ok);
      const { takeover: _, user: __, ...publication } = claim({ tracks: [] });
      const { epoch } = first.entry;
      const changed = await directory.describe({ ...publication, epoch });
      assert.deepEqual([changed?.tracks, changed?.epoch, changed?.user, changed?.since], [[], epoch, 'anna', first.entry.since]);
      assert.deepEqual(await directory.get('live/demo'), changed);
      assert.equal(await directory.describe({ ...publication, epoch: epoch + 1 }), undefined);
      assert.equal(await directory.describe({ ...publication, session: 'other', epoch }), undefined);
      assert.equal(await directory.describe({ ...publication, stream: 'live/none', epoch }), undefined);
      assert.deepEqual(await directory.get('live/demo'), changed);
    });

    behaves('an announcement drops what the node no longer publishes', async ({ directory }) => {
      await directory.announce(
        announcement('a', [
          { stream: 'live/one', epoch: 1 },
          { stream: 'live/two', epoch: 2 },
        ]),
      );
      await directory.announce(announcement('a', [{ stream: 'live/two', epoch: 2 }]));
      assert.equal(await directory.get('live/one'), undefined);
      assert.equal((await directory.get('live/two'))?.epoch, 2);
    });

    behaves('a dropped node is gone with its streams, unless it has connected anew', async ({ directory }) => {
      await directory.heartbeat(presence('a', { connectedAt: 20 }));
      await directory.publish(claim());
      await directory.dropNode('a', 10);
      assert.ok(await directory.get('live/demo'));
      await directory.dropNode('a', 20);
      assert.equal(await directory.get('live/demo'), undefined);
      assert.deepEqual(await directory.nodes(), []);
    });

    behaves('a report over an earlier connection does not hide that of a later one', async ({ directory }) => {
      await directory.heartbeat(presence('a', { connectedAt: 20, replica: 'new' }));
      await directory.heartbeat(presence('a', { connectedAt: 10, replica: 'old' }));
      assert.deepEqual(
        (await directory.nodes()).map((node) => node.replica),
        ['new'],
      );
    });

    behaves('watchers on each replica hear changes in the order they were made', async ({ directory, other }) => {
      const heard = listen(other);
      await directory.heartbeat(presence('a'));
      const first = await directory.publish(claim());
      const second = await directory.publish(claim({ node: 'b', session: 's2', takeover: true }));
      assert.ok(first.ok && second.ok);
      await directory.unpublish('live/demo', second.entry.epoch, 's2');
      await heard.until((changes) => changes.some((change) => change.type === 'removed'));
      assert.deepEqual(
        heard.changes.map((change) => [
          change.type,
          change.type === 'published' ? change.entry.epoch : change.type === 'removed' ? change.epoch : 0,
        ]),
        [
          ['node', 0],
          ['published', first.entry.epoch],
          ['published', second.entry.epoch],
          ['removed', second.entry.epoch],
        ],
      );
    });
  });
}

function claim(changes: Partial<Claim> = {}): Claim {
  const codec = { mimeType: 'audio/opus', payloadType: 100, clockRate: 48000, channels: 2, parameters: {}, rtcpFeedback: [] };
  return {
    stream: 'live/demo',
    node: 'a',
    region: 'north',
    host: '127.0.0.1',
    port: 40100,
    session: 's1',
    tracks: [{ track: 0, kind: 'audio', codec, headerExtensions: [], layers: [{ layer: 0, ssrc: 1 }] }],
    takeover: false,
    ...changes,
  };
}

function announcement(node: string, streams: { stream: string; epoch: number }[]) {
  return {
    node,
    region: 'north',
    host: '127.0.0.1',
    port: 1,
    publications: streams.map((one) => ({ ...one, session: `${node}-1`, tracks: [] })),
  };
}

function presence(node: string, changes: Partial<NodePresence> = {}): NodePresence {
  return {
    node,
    replica: 'r1',
    connectedAt: 1,
    hello: {
      podUid: 'u',
      bootId: 'b',
      bootedAt: 0,
      build: 'test',
      protocol: 1,
      roles: ['push'],
      region: 'north',
      provider: 'default',
      endpoints: {
        signalingUrl: 'http://127.0.0.1:1',
        host: '127.0.0.1',
        trunkPort: 1,
        mediaPorts: [],
        opsUrl: 'http://127.0.0.1:2',
      },
      kernel: { rmemMax: 0, wmemMax: 0 },
      cpus: '0',
    },
    ...changes,
  };
}

function listen(directory: StreamDirectory) {
  const changes: DirectoryChange[] = [];
  let check = (): void => {};
  directory.watch((change) => {
    changes.push(change);
    check();
  });
  const until = (condition: (changes: DirectoryChange[]) => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const deadline = setTimeout(
        () => reject(new Error(`not heard within 5 s; heard ${changes.map((change) => change.type).join(', ')}`)),
        5000,
      );
      check = () => {
        if (!condition(changes)) return;
        clearTimeout(deadline);
        resolve();
      };
      check();
    });
  return { changes, until };
}
