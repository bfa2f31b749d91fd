import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import type { Hop } from '@millrace/api/trunk';
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
  test('the address of a peer in the settings counts, whatever a path says', () => {
    const { trunks, hosts } = silentTrunks();
    const directory = new TrunkDirectory(trunks, listener);
    directory.keep([{ node: 'known', host: '192.0.2.1', port: 1 }]);
    for (const node of ['known', 'other'])
      directory.sendTo({ node, host: '203.0.113.9', port: 9 }, { type: 'unsubscribe', id: 1 });
    assert.deepEqual(
      [...hosts],
      [
        ['known', '192.0.2.1'],
        ['other', '203.0.113.9'],
      ],
    );
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
