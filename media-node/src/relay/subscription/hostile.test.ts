import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  TrunkControlMessageError,
  decodeTrunkControlMessage,
  encodeTrunkControlMessage,
  type TrunkControlMessage,
  type Hop,
} from '@millrace/api/trunk';
import { seededRandom } from '@millrace/service';
import fc from 'fast-check';
import type { SubscriptionEffects } from './effects.ts';
import { Subscriptions } from './index.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapMiB(): number {
  collect();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

function node() {
  const sent = { upstream: 0, downstream: 0 };
  const refusals: Record<string, number> = {};
  const effects: SubscriptionEffects = {
    sendUpstream: () => (sent.upstream += 1),
    sendDownstream: (_peer, message) => {
      sent.downstream += 1;
      if (message.type === 'refused') refusals[message.code] = (refusals[message.code] ?? 0) + 1;
    },
    bind: () => {},
    unbind: () => {},
    serve: () => {},
    stopServing: () => {},
    describe: () => {},
    status: () => {},
    path: () => {},
    requestKeyframe: () => {},
    forget: () => {},
    held: () => [],
    trunkQuality: () => ({ rttMs: 1, lossPercent: 0 }),
  };
  const random = seededRandom(1);
  const subscriptions = new Subscriptions({ self: 'b', relays: true, effects, random });
  subscriptions.peers = ['origin', 'x', ...Array.from({ length: 5000 }, (_, i) => `n${i}`)].map(hop);
  return { sent, refusals, subscriptions };
}

const hop = (name: string): Hop => ({ node: name, host: '192.0.2.1', port: 1 });
const read = (message: object): TrunkControlMessage =>
  decodeTrunkControlMessage(encodeTrunkControlMessage(message as TrunkControlMessage));

const subscribe = (change: object): TrunkControlMessage =>
  read({
    type: 'subscribe',
    id: 1,
    stream: 'live/a',
    path: ['origin'],
    backup: [],
    via: ['evil'],
    layers: [],
    held: [],
    conversations: { audio: 17, video: 19 },
    ...change,
  });

describe('a peer that asks for anything', () => {
  test('messages that are none are refused by the reader, never otherwise', () => {
    const like = fc.record(
      {
        v: fc.oneof(fc.constant(1), fc.jsonValue()),
        type: fc.oneof(fc.constantFrom('subscribe', 'subscribed', 'tracks', 'path', 'keyframe', 'ended', 'x'), fc.jsonValue()),
        id: fc.oneof(fc.nat(), fc.double(), fc.jsonValue()),
        stream: fc.oneof(fc.constant('a/b'), fc.string(), fc.jsonValue()),
        path: fc.jsonValue(),
        via: fc.jsonValue(),
        tracks: fc.jsonValue(),
        epoch: fc.oneof(fc.double(), fc.integer()),
      },
      { requiredKeys: [] },
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
      like.map((value) => Buffer.from(JSON.stringify(value))),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        try {
          decodeTrunkControlMessage(input);
        } catch (error) {
          assert.ok(error instanceof TrunkControlMessageError, String(error));
          assert.ok(error.message.length <= 600, `${error.message.length} characters would be sent back`);
        }
      }),
      { numRuns: 3000 },
    );
    const unprintable = Buffer.from('{"v":{"toString":0}}');
    assert.throws(() => decodeTrunkControlMessage(unprintable), TrunkControlMessageError, 'what has no text of its own');
    for (const huge of [Buffer.alloc(70_000, 0x20), Buffer.from(`${'['.repeat(30_000)}${']'.repeat(30_000)}`)])
      assert.throws(() => decodeTrunkControlMessage(huge), TrunkControlMessageError);
  });

  test('loops, paths through this node, too many hops and forged senders are refused with their reason', () => {
    const { refusals, subscriptions } = node();
    const far = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => `n${from + i}`);
    const wrong: [object, string][] = [
      [{ via: ['b', 'evil'] }, 'loop'],
      [{ path: ['x', 'b', 'origin'] }, 'loop'],
      [{ via: ['somebody'] }, 'invalid'],
      [{ via: [...far(0, 15), 'evil'], path: ['x', 'origin'] }, 'path-too-long'],
      [{ path: [] }, 'unknown-stream'],
    ];
    for (const [change, code] of wrong) {
      const before = refusals[code] ?? 0;
      subscriptions.onMessage('evil', subscribe(change), 0);
      assert.equal(refusals[code], before + 1, code);
    }
    assert.equal(subscriptions.downstreams, 0);
    assert.throws(() => subscribe({ via: far(0, 17) }), TrunkControlMessageError);
    assert.throws(() => subscribe({ path: far(0, 17).map(hop) }), TrunkControlMessageError);
    assert.throws(() => subscribe({ id: -1 }), TrunkControlMessageError);
    assert.throws(() => subscribe({ conversations: { audio: 0, video: 2 ** 32 } }), TrunkControlMessageError);
  });

  const ATTACKS: [string, (random: (below: number) => number, i: number) => { peer: string; message: TrunkControlMessage }][] = [
    [
      'one subscription again and again',
      (random) => ({ peer: 'evil', message: subscribe({ layers: [{ track: random(16), mask: random(256) }] }) }),
    ],
    ['a new number each time', (_random, i) => ({ peer: 'evil', message: subscribe({ id: i }) })],
    ['a new stream each time', (_random, i) => ({ peer: 'evil', message: subscribe({ id: i, stream: `live/${i}` }) })],
    [
      'another way each time',
      (random) => ({ peer: 'evil', message: subscribe({ path: [`n${random(5000)}`, `o${random(5000)}`] }) }),
    ],
    [
      'a new peer and a new stream each time',
      (_random, i) => ({
        peer: `evil${i}`,
        message: subscribe({ id: i, stream: `live/${i}`, via: [`evil${i}`], path: [`n${i}`] }),
      }),
    ],
    [
      'answers to what was never asked',
      (random, i) => ({
        peer: `evil${i % 3000}`,
        message: read(
          [
            { type: 'subscribed', id: random(2 ** 32), epoch: random(2 ** 40), tracks: [], path: [] },
            { type: 'tracks', id: random(100), epoch: random(2 ** 40), tracks: [] },
            { type: 'ended', id: random(100), epoch: 2 ** 48 - 1, reason: 'x'.repeat(500) },
            { type: 'refused', id: random(100), code: 'overloaded', reason: 'no' },
            { type: 'path', id: random(100), path: ['x'], rttMs: 1e9, lossPercent: 100 },
            { type: 'keyframe', id: random(100), track: random(16), layer: random(8) },
            { type: 'unsubscribe', id: random(100) },
            { type: 'lost', id: random(100), reason: 'gone' },
          ][random(8)]!,
        ),
      }),
    ],
  ];
  const COUNT = 30_000;
  for (const [what, attack] of ATTACKS) {
    test(`${what}: memory and time stay bounded`, { timeout: 120_000 }, () => {
      const { subscriptions, sent } = node();
      const source = seededRandom(3);
      const random = (below: number): number => Math.floor(source() * below);
      const before = heapMiB();
      let cpu = 0;
      let nowMs = 0;
      for (let i = 0; i < COUNT; i++) {
        const { peer, message } = attack(random, i);
        const start = process.cpuUsage();
        subscriptions.onMessage(peer, message, nowMs);
        if (i % 200 === 0) subscriptions.tick((nowMs += 20));
        if (i % 1000 === 0) subscriptions.trunkLost(peer, nowMs);
        const { user, system } = process.cpuUsage(start);
        cpu += user + system;
      }
      const grown = heapMiB() - before;
      assert.ok(grown < 96, `memory grew by ${grown.toFixed(1)} MiB`);
      assert.ok(cpu / COUNT < 500, `${(cpu / COUNT).toFixed(0)} µs a message`);
      assert.ok(sent.downstream + sent.upstream < COUNT * 4, 'it does not amplify');
      // All of it goes when the peer has gone.
      for (let i = 0; i < 400; i++) {
        for (const peer of ['evil', `evil${i}`]) subscriptions.trunkLost(peer, nowMs);
        subscriptions.tick((nowMs += 500));
      }
      if (!what.includes('peer')) assert.equal([...subscriptions.streams()].length, 0);
    });
  }
});
