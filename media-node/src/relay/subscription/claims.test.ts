import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { signGrant, type PublicJwk } from '@millrace/api';
import type { Hop, StreamDescription, TrunkControlMessage } from '@millrace/api/trunk';
import { seededRandom } from '@millrace/service';
import { Subscriptions } from './index.ts';

const control = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const publicJwk = { ...control.publicKey.export({ format: 'jwk' }), kid: 'k1' } as PublicJwk;
const ORIGIN_AT = { host: '192.0.2.1', port: 1 };
const LAST_EPOCH = 2 ** 48 - 1;

const grant = (
  epoch: number,
  change: { stream?: string; node?: string; key?: typeof control.privateKey; kid?: string } = {},
): string => {
  // Long past its end, as after an outage of control: among nodes that does not matter.
  const name = { stream: change.stream ?? 'live/a', epoch, node: change.node ?? 'origin', session: 's', at: ORIGIN_AT };
  return signGrant(name, 0, { kid: change.kid ?? 'k1', key: change.key ?? control.privateKey });
};

const TRACKS = [
  {
    track: 0,
    kind: 'video' as const,
    codec: { mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000 },
    headerExtensions: [],
    layers: [{ layer: 0, ssrc: 1 }],
  },
];

/** A relay that carries live/a in epoch 5, from its origin, for a good node. */
function relay({ keys }: { keys?: readonly PublicJwk[] | undefined } = { keys: [publicJwk] }) {
  const up: TrunkControlMessage[] = [];
  const dialled: Hop[] = [];
  const down: { peer: string; message: TrunkControlMessage }[] = [];
  const described: StreamDescription[] = [];
  const subscriptions = new Subscriptions({
    self: 'relay',
    relays: true,
    random: seededRandom(1),
    effects: {
      sendUpstream: (hop, message) => {
        up.push(message);
        dialled.push(hop);
      },
      sendDownstream: (peer, message) => down.push({ peer, message }),
      bind: () => {},
      unbind: () => {},
      serve: () => {},
      stopServing: () => {},
      describe: (description) => described.push(description),
      status: () => {},
      path: () => {},
      requestKeyframe: () => {},
      forget: () => {},
      held: () => [],
      trunkQuality: () => ({ rttMs: 1, lossPercent: 0 }),
    },
  });
  subscriptions.authorities = keys;
  subscriptions.peers = [{ node: 'relay-2', host: '192.0.2.2', port: 2 }];
  const subscribe = (peer: string, change: object): void =>
    subscriptions.onMessage(
      peer,
      {
        type: 'subscribe',
        id: 7,
        stream: 'live/a',
        path: ['origin'],
        backup: [],
        via: [peer],
        layers: [],
        held: [],
        conversations: { audio: 17, video: 19 },
        ...change,
      },
      0,
    );
  const answer = (peer: string, change: object): void => {
    const request = up.findLast(({ type }) => type === 'subscribe')!;
    const message = { type: 'subscribed', id: request.id, epoch: 5, tracks: TRACKS, path: [peer], ...change };
    subscriptions.onMessage(peer, message as TrunkControlMessage, 0);
  };
  return { up, dialled, down, described, subscriptions, subscribe, answer };
}

describe('An epoch that a peer names', () => {
  test('counts with the grant of control, which goes on to whoever is behind', () => {
    const { up, down, subscribe, answer } = relay();
    subscribe('edge', { epoch: 5, grant: grant(5) });
    assert.deepEqual(
      up.map((message) => message.type === 'subscribe' && [message.epoch, message.grant]),
      [[5, grant(5)]],
    );
    answer('origin', { grant: grant(5) });
    const passedOn = down.flatMap(({ message }) => (message.type === 'subscribed' ? [[message.epoch, message.grant]] : []));
    assert.deepEqual(passedOn, [[5, grant(5)]]);
  });

  const bad: [what: string, change: object][] = [
    ['no grant', { epoch: LAST_EPOCH }],
    ['the grant of another epoch', { epoch: LAST_EPOCH, grant: grant(5) }],
    ['the grant of another stream', { epoch: LAST_EPOCH, grant: grant(LAST_EPOCH, { stream: 'live/evil' }) }],
    ['a grant under a key of its own', { epoch: LAST_EPOCH, grant: grant(LAST_EPOCH, { key: other.privateKey }) }],
    ['a grant under an unknown key', { epoch: LAST_EPOCH, grant: grant(LAST_EPOCH, { key: other.privateKey, kid: 'k2' }) }],
    ['no grant at all', { epoch: LAST_EPOCH, grant: 'a.b.c' }],
  ];
  for (const [what, change] of bad) {
    test(`takes no stream from its origin with ${what}`, () => {
      const { up, down, described, subscribe, answer, subscriptions } = relay();
      subscribe('edge', { epoch: 5, grant: grant(5) });
      answer('origin', { grant: grant(5) });
      const requested = up.length;
      subscribe('evil', { ...change, path: ['evil-2'] });
      const { peer, message } = down.at(-1)!;
      assert.ok(peer === 'evil' && message.type === 'refused' && message.code === 'unauthorised', JSON.stringify(message));
      assert.equal(up.length, requested, 'the relay asks nobody');
      const { id } = up[0]!;
      subscriptions.onMessage('origin', { type: 'tracks', id, tracks: [], epoch: LAST_EPOCH, ...change }, 0);
      assert.deepEqual(
        described.map(({ epoch }) => epoch),
        [5],
      );
    });
  }

  test('counts for the origin that it was granted to: the end of the path and of the backup', () => {
    const { up, down, subscribe } = relay();
    for (const change of [{ path: ['evil'] }, { path: ['relay-2', 'evil'] }, { backup: ['relay', 'evil'] }]) {
      subscribe('evil', { epoch: 5, grant: grant(5), ...change });
      const { peer, message } = down.at(-1)!;
      assert.ok(peer === 'evil' && message.type === 'refused' && message.code === 'unauthorised', JSON.stringify(message));
    }
    assert.deepEqual(up, []);
  });

  test('is carried on to the nodes of the settings, and to the origin at the address in the grant, and to no other', () => {
    const { dialled, down, subscribe } = relay();
    subscribe('evil', { epoch: 5, grant: grant(5), path: ['evil-2', 'origin'] });
    const { message } = down.at(-1)!;
    assert.ok(message.type === 'refused' && /evil-2/.test(message.reason), JSON.stringify(message));
    assert.deepEqual(dialled, []);
    subscribe('edge', { epoch: 5, grant: grant(5) });
    assert.deepEqual(dialled, [{ node: 'origin', ...ORIGIN_AT }]);
    const other = relay();
    other.subscribe('edge', { epoch: 5, grant: grant(5), path: ['relay-2', 'origin'] });
    assert.deepEqual(other.dialled, [{ node: 'relay-2', host: '192.0.2.2', port: 2 }]);
  });

  test('of a publisher that moved to another node leads there, though an older subscriber still names the old one', () => {
    const { up, subscriptions, subscribe, answer } = relay();
    subscribe('edge', { epoch: 5, grant: grant(5) });
    answer('origin', { grant: grant(5) });
    const moved = { epoch: 6, grant: grant(6, { node: 'origin-2' }) };
    subscribe('edge-2', { id: 8, path: ['relay-2', 'origin-2'], ...moved });
    subscriptions.trunkLost('origin', 10);
    const asked = up.filter((message) => message.type === 'subscribe');
    assert.deepEqual(
      asked.map(({ epoch, path }) => [epoch, path]),
      [
        [5, []],
        [6, ['origin-2']],
      ],
    );
  });

  test('is checked where the relay carries the stream, though the path is empty, and of what is held too', () => {
    const { up, down, subscribe, answer } = relay();
    subscribe('edge', { epoch: 5, grant: grant(5) });
    answer('origin', { grant: grant(5) });
    const requested = up.length;
    const position = { epoch: LAST_EPOCH, track: 0, layer: 0, seq: 1 };
    for (const change of [{ epoch: LAST_EPOCH }, { held: [position] }, { epoch: 5, grant: grant(5), held: [position] }]) {
      subscribe('evil', { path: [], ...change });
      const { peer, message } = down.at(-1)!;
      assert.ok(peer === 'evil' && message.type === 'refused' && message.code === 'unauthorised', JSON.stringify(message));
    }
    assert.equal(up.length, requested);
  });

  test('of an upstream that begins with a wrong one makes the relay go another way', () => {
    const { up, down, described, subscribe, answer } = relay();
    subscribe('edge', { epoch: 5, grant: grant(5), path: ['relay-2', 'origin'], backup: [] });
    answer('relay-2', { epoch: LAST_EPOCH });
    assert.deepEqual(described, []);
    assert.ok(down.some(({ peer, message }) => peer === 'relay-2' && message.type === 'unsubscribe'));
    assert.ok(down.some(({ peer, message }) => peer === 'edge' && message.type === 'refused'));
    subscribe('edge', { epoch: 5, grant: grant(5) });
    answer('origin', { grant: grant(5) });
    assert.deepEqual(
      described.map(({ epoch }) => epoch),
      [5],
    );
    assert.ok(up.length >= 2);
  });

  test('is not checked without control', () => {
    const { described, subscribe, answer } = relay({});
    subscribe('edge', { path: ['relay-2'] });
    answer('relay-2', {});
    assert.equal(described.length, 1);
  });
});
