import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { TrunkControlMessage, HeldPosition, Hop } from '@millrace/api/trunk';
import type { HeldRange, SubscriptionEffects } from './effects.ts';
import { allLayers } from './layer-masks.ts';
import { Subscriptions } from './subscriptions.ts';

const peers = ['a', 'b', 'c', 'x', 'y'].map((node): Hop => ({ node, host: '10.0.0.1', port: 40100 }));

/** A node alone: what it sends is written down, what it binds and serves is counted. */
function lone(self = 'b') {
  const sent: { to: string; message: TrunkControlMessage }[] = [];
  const bound = new Set<string>();
  const serving = new Set<string>();
  const served: HeldPosition[][] = [];
  const forgotten: string[] = [];
  const statuses: string[] = [];
  let held: HeldRange[] = [];
  const effects: SubscriptionEffects = {
    sendUpstream: (to, message) => sent.push({ to: to.node, message }),
    sendDownstream: (to, message) => sent.push({ to, message }),
    bind: (stream, peer, id) => {
      assert.ok(!bound.has(`${stream} ${peer} ${id}`));
      bound.add(`${stream} ${peer} ${id}`);
    },
    unbind: (stream, peer, id) => assert.ok(bound.delete(`${stream} ${peer} ${id}`), 'was bound'),
    serve: (stream, { peer, id }, _masks, positions) => {
      serving.add(`${stream} ${peer} ${id}`);
      served.push(positions);
    },
    stopServing: (stream, { peer, id }) => assert.ok(serving.delete(`${stream} ${peer} ${id}`), 'was served'),
    describe: () => {},
    status: (_stream, status) => statuses.push(status),
    path: () => {},
    requestKeyframe: () => {},
    forget: (stream) => forgotten.push(stream),
    held: () => held,
    trunkQuality: () => ({ rttMs: 10, lossPercent: 0 }),
  };
  const subscriptions = new Subscriptions({ self, relays: true, effects, random: () => 0.5 });
  subscriptions.peers = peers;
  const setHeld = (ranges: HeldRange[]) => (held = ranges);
  const take = () => sent.splice(0).map(({ to, message }) => ({ to, ...message }));
  return { subscriptions, sent, take, bound, serving, served, forgotten, statuses, setHeld };
}

const subscribe = (
  fields: Partial<TrunkControlMessage & { type: 'subscribe' }> = {},
): TrunkControlMessage & { type: 'subscribe' } => ({
  type: 'subscribe',
  id: 1,
  stream: 'live/demo',
  path: ['a'],
  backup: [],
  via: ['c'],
  layers: [],
  held: [],
  conversations: { audio: 16, video: 18 },
  ...fields,
});
const range = (seq: number, from: number, takesOlder = true): HeldRange => ({
  epoch: 5,
  track: 0,
  layer: 0,
  seq,
  from,
  takesOlder,
});

describe('subscriptions of a relay', () => {
  test('a subscriber is passed on upstream with its position, its way and who is behind', () => {
    const node = lone();
    const held = [{ epoch: 5, track: 0, layer: 0, seq: 77 }];
    node.subscriptions.onMessage('c', subscribe({ path: ['x', 'a'], backup: ['y', 'a'], held }), 0);
    const [request] = node.take();
    assert.ok(request?.type === 'subscribe');
    assert.equal(request.to, 'x');
    assert.deepEqual([request.path, request.backup, request.via, request.held], [['a'], ['y', 'a'], ['c', 'b'], held]);
  });

  test('a subscriber is served at once and told once the stream stands', () => {
    const node = lone();
    node.subscriptions.onMessage('c', subscribe(), 0);
    assert.deepEqual([...node.serving], ['live/demo c 1']);
    const [request] = node.take();
    node.subscriptions.onMessage('a', { type: 'subscribed', id: request!.id, epoch: 5, tracks: [], path: ['a'] }, 10);
    const [answer] = node.take();
    assert.deepEqual(answer, { to: 'c', type: 'subscribed', id: 1, epoch: 5, tracks: [], grant: undefined, path: ['b', 'a'] });
  });

  test('the two ends of a trunk never choose the same conversation', () => {
    const [b, c] = [lone('b'), lone('c')];
    b.subscriptions.onMessage('z', subscribe({ via: ['z'], path: ['c'] }), 0);
    c.subscriptions.onMessage('z', subscribe({ via: ['z'], path: ['b'] }), 0);
    const conversations = [...b.take(), ...c.take()].flatMap((m) =>
      m.type === 'subscribe' ? Object.values(m.conversations) : [],
    );
    assert.equal(conversations.length, 4);
    assert.equal(new Set(conversations).size, 4);
  });

  test('a subscriber who holds less than a relay that has only begun makes it ask for what lies between', () => {
    const node = lone();
    node.subscriptions.onMessage('d', subscribe({ via: ['d'], id: 9 }), 0);
    const [first] = node.take();
    node.subscriptions.onMessage('a', { type: 'subscribed', id: first!.id, epoch: 5, tracks: [], path: ['a'] }, 10);
    node.take();
    node.setHeld([range(120, 100)]);
    const held = [{ epoch: 5, track: 0, layer: 0, seq: 90 }];
    node.subscriptions.onMessage('c', subscribe({ held }), 20);
    const update = node.take().find((message) => message.type === 'subscribe');
    assert.deepEqual([update?.to, update?.id, update?.type === 'subscribe' && update.held], ['a', first!.id, held]);
  });

  test('a change of the last hops before the origin is passed on to the same next hop', () => {
    const node = lone();
    node.subscriptions.onMessage('c', subscribe({ path: ['x', 'a'] }), 0);
    const [first] = node.take();
    node.subscriptions.onMessage('c', subscribe({ path: ['x', 'y', 'a'] }), 10);
    const [update] = node.take();
    assert.deepEqual([update?.to, update?.id], ['x', first!.id]);
    assert.ok(update?.type === 'subscribe');
    assert.deepEqual(update.path, ['y', 'a']);
  });

  test('the wanted layers are those that anyone behind wants, and a change is one message', () => {
    const node = lone();
    node.subscriptions.onMessage('c', subscribe({ layers: [{ track: 0, mask: 0b001 }] }), 0);
    node.subscriptions.onMessage('d', subscribe({ via: ['d'], layers: [{ track: 0, mask: 0b100 }] }), 0);
    node.subscriptions.onMessage('d', subscribe({ via: ['d'], layers: [{ track: 0, mask: 0b100 }] }), 1);
    node.subscriptions.onMessage('c', { type: 'unsubscribe', id: 1 }, 2);
    const layers = node.take().map((message) => (message.type === 'subscribe' ? message.layers : []));
    assert.deepEqual(layers, [[{ track: 0, mask: 0b001 }], [{ track: 0, mask: 0b101 }], [{ track: 0, mask: 0b100 }]]);
  });

  test('an upstream that does not answer for a second is given up for the next way', () => {
    const node = lone();
    const want = { path: ['x', 'a'], backup: ['y', 'a'], masks: allLayers(), lingerMs: 0 };
    node.subscriptions.want('live/demo', 'viewer', want, 0);
    node.subscriptions.tick(999);
    assert.deepEqual(
      node.take().map(({ to }) => to),
      ['x'],
    );
    node.subscriptions.tick(1000);
    assert.deepEqual(
      node.take().map(({ to, type }) => `${type} ${to}`),
      ['unsubscribe x', 'subscribe y'],
    );
  });

  test('after both ways failed it tries again, later each time, up to 5 s', () => {
    const node = lone();
    node.subscriptions.want('live/demo', 'viewer', { path: ['x'], backup: [], masks: allLayers(), lingerMs: 0 }, 0);
    const tries: number[] = [];
    for (let ms = 0; ms < 40_000; ms += 5) {
      node.subscriptions.tick(ms);
      for (const message of node.take()) {
        if (message.type !== 'subscribe') continue;
        tries.push(ms);
        node.subscriptions.onMessage('x', { type: 'refused', id: message.id, code: 'unknown-stream', reason: 'no' }, ms);
      }
    }
    const gaps = tries.slice(1).map((at, i) => at - tries[i]!);
    assert.deepEqual(gaps.slice(0, 6), [250, 500, 1000, 2000, 4000, 5000]);
    assert.deepEqual(node.statuses, ['lost']);
  });

  test('a peer that could not be told that its subscription is over is told when the trunk is back', () => {
    const node = lone();
    node.subscriptions.onMessage('c', subscribe(), 0);
    const [request] = node.take();
    node.subscriptions.trunkLost('a', 10);
    node.take();
    node.subscriptions.trunkUp('a', 20);
    assert.deepEqual(node.take()[0], { to: 'a', type: 'unsubscribe', id: request!.id });
  });

  test('an answer to a subscription that is over is answered with its end', () => {
    const node = lone();
    node.subscriptions.onMessage('x', { type: 'subscribed', id: 4, epoch: 1, tracks: [], path: ['x'] }, 0);
    assert.deepEqual(node.take(), [{ to: 'x', type: 'unsubscribe', id: 4 }]);
  });

  test('whatever comes in whatever order, nothing throws and in the end nothing is left', () => {
    const peer = fc.constantFrom('a', 'c', 'd', 'x', 'y');
    const names = fc.array(fc.constantFrom('a', 'b', 'c', 'x', 'y'), { maxLength: 3 });
    const stream = fc.constantFrom('live/one', 'live/two');
    type Step = (node: ReturnType<typeof lone>, nowMs: number) => void;
    const want = (path: string[], backup: string[]) => ({ path, backup, masks: allLayers(), lingerMs: 100 });
    /** An answer to one of the last requests of the node, or to none. */
    const answers = fc.constantFrom('subscribed', 'lost', 'ended', 'refused', 'path', 'tracks');
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.tuple(peer, names, names, fc.nat(3), stream).map(([from, path, backup, id, name]): Step => (node, now) => {
        node.subscriptions.onMessage(from, subscribe({ id, path, backup, via: [from], stream: name }), now);
      }),
      fc.tuple(peer, fc.nat(3)).map(
        ([from, id]): Step =>
          (node, now) =>
            node.subscriptions.onMessage(from, { type: 'unsubscribe', id }, now),
      ),
      fc.tuple(fc.nat(5), answers, fc.nat(3)).map(([back, type, epoch]): Step => (node, now) => {
        const request = node.sent.filter(({ message }) => message.type === 'subscribe').at(-1 - back);
        if (request) node.subscriptions.onMessage(request.to, answer(type, request.message.id, epoch), now);
      }),
      peer.map(
        (from): Step =>
          (node, now) =>
            node.subscriptions.trunkLost(from, now),
      ),
      peer.map(
        (from): Step =>
          (node, now) =>
            node.subscriptions.trunkUp(from, now),
      ),
      fc.tuple(stream, names, names).map(
        ([name, path, backup]): Step =>
          (node, now) =>
            node.subscriptions.want(name, 'v', want(path, backup), now),
      ),
      stream.map(
        (name): Step =>
          (node, now) =>
            node.subscriptions.release(name, 'v', now),
      ),
      fc.tuple(stream, fc.nat(3)).map(
        ([name, epoch]): Step =>
          (node, now) =>
            node.subscriptions.publish(name, epoch, [], now),
      ),
      fc.tuple(stream, fc.nat(3)).map(
        ([name, epoch]): Step =>
          (node, now) =>
            node.subscriptions.unpublish(name, epoch, 'x', now),
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.nat(700)), { maxLength: 60 }), (steps) => {
        const node = lone();
        let nowMs = 0;
        for (const [run, waitMs] of steps) {
          run(node, nowMs);
          nowMs += waitMs;
          node.subscriptions.tick(nowMs);
        }
        for (const name of ['live/one', 'live/two']) {
          for (let epoch = 0; epoch < 4; epoch++) node.subscriptions.unpublish(name, epoch, 'over', nowMs);
          node.subscriptions.release(name, 'v', nowMs);
        }
        for (const from of ['a', 'c', 'd', 'x', 'y']) node.subscriptions.trunkLost(from, nowMs);
        for (let i = 0; i < 40; i++) node.subscriptions.tick((nowMs += 500));
        const { subscriptions } = node;
        assert.deepEqual([[...node.bound], [...node.serving], [...subscriptions.streams()].length], [[], [], 0]);
        assert.equal(subscriptions.downstreams, 0);
      }),
      { numRuns: 500 },
    );
  });
});

function answer(type: string, id: number, epoch: number): TrunkControlMessage {
  switch (type) {
    case 'subscribed':
      return { type, id, epoch, tracks: [], path: ['x'] };
    case 'tracks':
      return { type, id, epoch, tracks: [] };
    case 'path':
      return { type, id, path: epoch === 0 ? ['b'] : ['x', 'a'], rttMs: 1, lossPercent: 0 };
    case 'ended':
      return { type, id, epoch, reason: 'left' };
    case 'lost':
      return { type, id, reason: 'lost' };
    default:
      return { type: 'refused', id, code: 'unknown-stream', reason: 'no' };
  }
}
