import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ControlMessage, MeshSettings } from '@millrace/api';
import { createLogger } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { Fleet } from '../fleet/index.ts';
import { LiveStreams } from '../streams/index.ts';
import { entry, presence, spec } from '../testing/facts.ts';
import { compileSettings, digestOf } from './compile.ts';
import { Programmer, type ProgrammedNode } from './programmer.ts';

describe("a node's settings", () => {
  const addresses: Record<string, { region: string; host: string; port: number }> = {
    relay: { region: 'north', host: '10.0.0.1', port: 1 },
    far: { region: 'south', host: '10.0.0.2', port: 2 },
  };
  const compile = (more: Parameters<typeof spec>[1]) =>
    compileSettings({ spec: spec('n', more), mesh: undefined, tokenKeys: [], addressOf: (node) => addresses[node] });

  test('peers are its relays, those it probes and those on its routes, each once, and never itself', () => {
    const peers = [{ node: 'relay', region: 'north' }];
    const routes = [{ originRegion: 'south', policy: 'default', paths: [{ hops: ['relay', 'n', 'far'] }] }];
    const settings = compile({ relays: ['relay'], peers, routes });
    assert.deepEqual(
      settings.peers.map((peer) => peer.node),
      ['far', 'relay'],
    );
    assert.deepEqual([settings.probe, settings.relays], [['relay'], ['relay']]);
    assert.deepEqual(settings.routes, routes);
  });

  test('a path over a node whose address is unknown is left out, and so is a route without a path', () => {
    const paths = [{ hops: ['ghost', 'far'] }, { hops: ['relay', 'far'] }];
    const routes = [
      { originRegion: 'south', policy: 'default', paths },
      { originRegion: 'west', policy: 'default', paths: [{ hops: ['ghost'] }] },
    ];
    assert.deepEqual(compile({ routes }).routes, [
      { originRegion: 'south', policy: 'default', paths: [{ hops: ['relay', 'far'] }] },
    ]);
    assert.deepEqual(compile({ peers: [{ node: 'ghost', region: 'west' }] }).probe, []);
  });

  test('equal settings have equal digests, whatever the order of their fields; different ones do not', () => {
    const settings = compile({ cordoned: false });
    const turned = Object.fromEntries(Object.entries(settings).reverse()) as typeof settings;
    assert.equal(digestOf(turned), digestOf(settings));
    assert.notEqual(digestOf(compile({ cordoned: true })), digestOf(settings));
    assert.notEqual(digestOf(compile({ generation: 2 })), digestOf(settings));
  });
});

describe('the programmer', () => {
  function setUp() {
    const clock = new FakeClock();
    const fleet = new Fleet({ clock });
    const streams = new LiveStreams();
    const programmed: [string, number][] = [];
    let mesh: MeshSettings | undefined;
    const programmer = new Programmer({
      fleet,
      streams,
      meshOf: () => mesh,
      tokenKeys: () => [],
      certificateOf: (node, nodeKey) => `${node} ${nodeKey}`,
      grantOf: () => undefined,
      clock,
      logger: createLogger({ service: 'test', level: 'silent' }),
      onProgrammed: (node, generation) => programmed.push([node, generation]),
    });
    const attach = (node: string, carried: string[] = [], have: { version?: number; digest?: string } = {}) => {
      const sent: ControlMessage[] = [];
      const target: ProgrammedNode = { node, nodeKey: 'key', carries: () => carried, send: (message) => sent.push(message) };
      const { resumedVersion } = programmer.attach(target, have);
      programmer.begin(target);
      const acknowledge = (): void => {
        for (const message of sent)
          if (message.type === 'snapshot' || message.type === 'streams') programmer.acknowledged(target, message.version);
      };
      return { sent, target, resumedVersion, acknowledge, carried };
    };
    const setMesh = (settings: MeshSettings): void => {
      mesh = settings;
      programmer.meshChanged('mesh');
    };
    return { clock, fleet, streams, programmer, programmed, attach, setMesh };
  }

  test('compiles only the nodes that an event concerns, out of a thousand', () => {
    const { clock, fleet, streams, programmer, attach } = setUp();
    for (let i = 0; i < 1000; i++) fleet.setSpec(spec(`n${i}`, { relays: i === 7 ? ['relay'] : [] }));
    const nodes = Array.from({ length: 1000 }, (_, i) => attach(`n${i}`, i === 9 ? ['live/a'] : []));
    for (const { sent, acknowledge } of nodes) {
      acknowledge();
      sent.length = 0;
    }
    const compiled = (run: () => void): number => {
      const before = programmer.compiled;
      run();
      clock.advance(100);
      return programmer.compiled - before;
    };
    assert.equal(
      compiled(() => fleet.setSpec(spec('n3', { generation: 2 }))),
      1,
    );
    assert.equal(
      compiled(() => fleet.setPresence(presence('relay'))),
      1,
      'only the node attached to that relay',
    );
    assert.equal(
      compiled(() => fleet.setPresence(presence('relay', { connectedAt: 2 }))),
      0,
      'its address is unchanged',
    );
    assert.equal(
      compiled(() => streams.put(entry('live/a'))),
      0,
    );
    assert.deepEqual(
      nodes.map(({ sent }, i) => [i, sent.length]).filter(([, count]) => count !== 0),
      [
        [3, 1],
        [7, 1],
        [9, 1],
      ],
    );
  });

  test('a burst of events becomes one message', () => {
    const { clock, fleet, streams, attach } = setUp();
    fleet.setSpec(spec('n'));
    const { sent } = attach('n', ['live/a', 'live/b']);
    sent.length = 0;
    for (let epoch = 1; epoch < 50; epoch++) {
      streams.put(entry('live/a', { epoch }));
      streams.put(entry('live/b', { epoch }));
    }
    streams.remove('live/b', 49);
    clock.advance(100);
    const [message] = sent;
    assert.equal(sent.length, 1);
    assert.ok(message?.type === 'streams' && !message.full);
    assert.deepEqual(
      [message.changed.map(({ stream, epoch }) => [stream, epoch]), message.removed],
      [[['live/a', 49]], ['live/b']],
    );
  });

  test('a held stream is sent with hold set, whether the node carries it or not, until it is no longer held', () => {
    const { clock, fleet, streams, programmer, attach } = setUp();
    for (const name of ['holder', 'both']) fleet.setSpec(spec(name));
    streams.put(entry('live/a'));
    const [holder, both] = [attach('holder'), attach('both', ['live/a'])];
    const messageAfter = (node: typeof holder, what: () => void): unknown => {
      node.sent.length = 0;
      what();
      clock.advance(100);
      const [message, ...more] = node.sent;
      assert.equal(more.length, 0);
      if (!message) return undefined;
      assert.ok(message.type === 'streams');
      return [message.changed.map(({ stream, epoch, hold }) => [stream, epoch, hold]), message.removed];
    };
    const hold = (...nodes: string[]) => programmer.hold('live/a', new Set(nodes));
    assert.deepEqual(
      messageAfter(holder, () => hold('holder', 'both')),
      [[['live/a', 1, true]], []],
    );
    assert.deepEqual(
      messageAfter(holder, () => streams.put(entry('live/a', { epoch: 2 }))),
      [[['live/a', 2, true]], []],
    );
    assert.equal(
      messageAfter(holder, () => hold('both', 'holder')),
      undefined,
      'nothing has changed',
    );
    assert.deepEqual(
      messageAfter(holder, () => hold('both')),
      [[], ['live/a']],
    );
    assert.deepEqual(
      messageAfter(both, () => hold()),
      [[['live/a', 2, undefined]], []],
    );
    hold('late');
    fleet.setSpec(spec('late'));
    const [snapshot] = attach('late').sent;
    assert.ok(snapshot?.type === 'snapshot' && snapshot.streams[0]?.hold === true, 'a node that connects later gets it too');
  });

  test('a node that already has these settings gets only its streams', () => {
    const { fleet, streams, attach } = setUp();
    fleet.setSpec(spec('n'));
    streams.put(entry('live/a'));
    const first = attach('n', ['live/a']);
    const [snapshot] = first.sent;
    assert.ok(snapshot?.type === 'snapshot');
    const again = attach('n', ['live/a'], { version: snapshot.version, digest: snapshot.digest });
    assert.equal(again.resumedVersion, snapshot.version);
    const [streamsMessage] = again.sent;
    assert.ok(streamsMessage?.type === 'streams' && streamsMessage.full && streamsMessage.base === snapshot.version);
    assert.ok(streamsMessage.version > snapshot.version);
  });

  test('a version that control cannot have given does not resume', () => {
    const { fleet, attach } = setUp();
    fleet.setSpec(spec('n'));
    const [snapshot] = attach('n').sent;
    assert.ok(snapshot?.type === 'snapshot');
    const { resumedVersion, sent } = attach('n', [], { version: Number.MAX_SAFE_INTEGER, digest: snapshot.digest });
    assert.equal(resumedVersion, undefined);
    assert.ok(sent[0]?.type === 'snapshot' && sent[0].version < Number.MAX_SAFE_INTEGER);
  });

  test('a generation is programmed when the message that carried it is acknowledged', () => {
    const { clock, fleet, programmed, attach } = setUp();
    fleet.setSpec(spec('n'));
    const { acknowledge, sent } = attach('n');
    assert.deepEqual(programmed, []);
    acknowledge();
    assert.deepEqual(programmed, [['n', 1]]);
    fleet.setSpec(spec('n', { generation: 2 }));
    clock.advance(100);
    sent.splice(0, 1);
    assert.deepEqual(programmed, [['n', 1]]);
    acknowledge();
    assert.deepEqual(programmed, [
      ['n', 1],
      ['n', 2],
    ]);
  });

  test('a node that acknowledges a version it was not sent gets a whole snapshot', () => {
    const { clock, fleet, programmer, attach } = setUp();
    fleet.setSpec(spec('n'));
    const { sent, target } = attach('n');
    sent.length = 0;
    programmer.acknowledged(target, 1);
    clock.advance(100);
    assert.deepEqual(
      sent.map((message) => message.type),
      ['snapshot'],
    );
  });

  test('acknowledgements of what was never sent bring one snapshot in 5 s, and one more where the node is still lost', () => {
    const { clock, fleet, programmer, attach } = setUp();
    fleet.setSpec(spec('n'));
    const { sent, target, acknowledge } = attach('n');
    acknowledge();
    const wholes = (): number => sent.filter(({ type }) => type === 'snapshot').length;
    const before = wholes();
    for (let n = 0; n < 1000; n++) {
      programmer.acknowledged(target, 7);
      if (n % 100 === 99) clock.advance(30);
    }
    assert.equal(wholes() - before, 1);
    acknowledge();
    clock.advance(20_000);
    assert.equal(wholes() - before, 1, 'it has what was sent to it');
    programmer.acknowledged(target, 7);
    programmer.acknowledged(target, 7);
    clock.advance(100);
    assert.equal(wholes() - before, 2);
  });

  test('a node that does not acknowledge gets only a few messages, and the newest state once it does', () => {
    const { clock, fleet, attach } = setUp();
    fleet.setSpec(spec('n'));
    const slow = attach('n');
    for (let generation = 2; generation < 100; generation++) {
      fleet.setSpec(spec('n', { generation }));
      clock.advance(100);
    }
    assert.ok(slow.sent.length <= 8);
    slow.acknowledge();
    clock.advance(100);
    const last = slow.sent.at(-1);
    assert.ok(last?.type === 'snapshot' && last.generation === 99);
  });
});
