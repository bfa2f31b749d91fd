import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import { MAX_CONTROL_MESSAGE_BYTES, TrunkControlMessageError, type Hop, type Subscribe } from '@millrace/api/trunk';
import { MAX_PEERS, TrunkDirectory } from './trunk-directory.ts';
import type { RelayTrunk, RelayTrunks } from './trunks.ts';

/** Trunks that nobody answers on. */
function silentTrunks(): { trunks: RelayTrunks; dialled: Set<string>; hosts: Map<string, string> } {
  const dialled = new Set<string>();
  const hosts = new Map<string, string>();
  const dial = ({ node, host }: Hop): RelayTrunk => {
    dialled.add(node);
    hosts.set(node, host);
    return Object.assign(new EventEmitter(), { peer: node, state: 'connecting' }) as unknown as RelayTrunk;
  };
  return { trunks: Object.assign(new EventEmitter(), { trunks: [], dial, trunk: () => undefined }), dialled, hosts };
}

const nothing = (): void => {};
const listener = {
  onMessage: nothing,
  onMedia: nothing,
  onStray: nothing,
  onUp: nothing,
  onLost: nothing,
  onBadMessage: nothing,
  onNarrowPath: nothing,
};

describe('the trunks of a node by peer', () => {
  test('a message that grows too large on its way is refused where it is passed on, and not when the trunk comes up', () => {
    const emitters: EventEmitter[] = [];
    const { trunks } = silentTrunks();
    const dial = (hop: Hop): RelayTrunk => {
      const trunk = trunks.dial(hop);
      emitters.push(trunk as unknown as EventEmitter);
      return trunk;
    };
    const directory = new TrunkDirectory(Object.assign(new EventEmitter(), { ...trunks, dial }), listener);
    const held = Array.from({ length: 700 }, (_, n) => ({ epoch: 1e14 + n, track: 0, layer: 0, seq: 1e14 + n }));
    const large = { type: 'subscribe', id: 1, stream: 'live/a', held, pad: 'x'.repeat(MAX_CONTROL_MESSAGE_BYTES) };
    const hop = { node: 'next', host: '192.0.2.1', port: 9 };
    assert.throws(() => directory.sendTo(hop, large as unknown as Subscribe), TrunkControlMessageError);
    for (const emitter of emitters) emitter.emit('up');
  });

  test('paths that name ever more nodes make it dial a bounded number; whom it knows it still reaches', () => {
    const { trunks, dialled } = silentTrunks();
    const directory = new TrunkDirectory(trunks, listener);
    const ask = (n: number) => directory.sendTo({ node: `n${n}`, host: '192.0.2.1', port: 9 }, { type: 'unsubscribe', id: n });
    for (let n = 0; n < MAX_PEERS; n++) ask(n);
    assert.throws(() => ask(MAX_PEERS), /is not dialled/);
    ask(0);
    assert.equal(dialled.size, MAX_PEERS);
  });
});
