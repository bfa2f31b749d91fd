import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { DgramIo, type MeshKey, type Trunk, TrunkEndpoint } from './index.ts';
import { SimNetwork } from './testing/sim-network.ts';

const OLD: MeshKey = { id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') };
const NEW: MeshKey = { id: 'k2', secret: Buffer.alloc(32, 8).toString('base64') };

function simulated(net: SimNetwork, node: string, keys: MeshKey[]): TrunkEndpoint {
  const { clock, randomBytes: random, defer } = net;
  return new TrunkEndpoint({ io: net.socket(node), self: { node }, keys, clock, random, defer });
}

/** Dials, and lets the promise of the resolver pass. */
async function dial(from: TrunkEndpoint, node: string, host: string, ...otherHosts: string[]): Promise<Trunk> {
  const trunk = from.dial({ node, host, otherHosts, port: 40_100 });
  await new Promise((resolve) => setImmediate(resolve));
  return trunk;
}

describe('a peer with several addresses', () => {
  test('is found at the next one within half a second when the first does not answer', async () => {
    const net = new SimNetwork(1);
    const a = simulated(net, 'a', [OLD]);
    simulated(net, 'b', [OLD]);
    const trunk = await dial(a, 'b', 'nowhere', 'b');
    net.run(500);
    assert.equal(trunk.state, 'up');
    assert.equal(trunk.link.address!.address, 'b');
  });

  test('is found though address and key of the mesh both take turns', async () => {
    const net = new SimNetwork(2);
    const a = simulated(net, 'a', [NEW, OLD]);
    simulated(net, 'b', [OLD]);
    const trunk = await dial(a, 'b', 'nowhere', 'b');
    net.run(8_000);
    assert.equal(trunk.state, 'up');
  });

  test('is found at its other address after a loss, when the path to the one in use is gone', async () => {
    const net = new SimNetwork(3);
    const a = simulated(net, 'a', [OLD]);
    const io = net.socket('b');
    const b = new TrunkEndpoint({
      io,
      self: { node: 'b' },
      keys: [OLD],
      clock: net.clock,
      random: net.randomBytes,
      defer: net.defer,
    });
    const trunk = await dial(a, 'b', 'b', 'b-again');
    net.run(1_000);
    assert.equal(trunk.state, 'up');
    const lost = once(trunk, 'lost');
    net.filter = () => false;
    net.run(30_000);
    await lost;
    net.move(io, 'b-again');
    net.filter = () => true;
    net.run(5_000);
    assert.equal(trunk.state, 'up');
    assert.equal(trunk.link.address!.address, 'b-again');
    await b.close();
  });
});

describe('trunks on sockets of both families', { timeout: 30_000 }, () => {
  const listening = async (node: string, host: string): Promise<{ endpoint: TrunkEndpoint; port: number }> => {
    const io = await DgramIo.open({ host, port: 0 });
    return { endpoint: new TrunkEndpoint({ io, self: { node }, keys: [OLD] }), port: io.local.port };
  };

  for (const [at, address] of [
    ['::', '::1'],
    ['::', '127.0.0.1'],
    ['::1', '::1'],
    ['127.0.0.1', '127.0.0.1'],
  ] as const)
    test(`one that listens on ${at} is reached at ${address}, from that very address`, { timeout: 10_000 }, async () => {
      const a = await listening('a', '::');
      const b = await listening('b', at);
      const accepted = once(b.endpoint, 'trunk') as Promise<[Trunk]>;
      const trunk = a.endpoint.dial({ node: 'b', host: address, port: b.port });
      await once(trunk, 'up');
      const [back] = await accepted;
      assert.deepEqual([trunk.link.address!.address, back.link.address!.address], [address, address]);
      await a.endpoint.close();
      await b.endpoint.close();
    });

  test(
    'of a dual-stack peer that listens in one family only, the other address does not keep it from coming up',
    { timeout: 10_000 },
    async () => {
      const a = await listening('a', '::');
      const b = await listening('b', '::1');
      const trunk = a.endpoint.dial({ node: 'b', host: '127.0.0.1', otherHosts: ['::1'], port: b.port });
      await once(trunk, 'up', { signal: AbortSignal.timeout(5_000) });
      await a.endpoint.close();
      await b.endpoint.close();
    },
  );

  test('names are resolved to addresses of the families that the socket has', async () => {
    const ipv4 = await DgramIo.open({ host: '0.0.0.0', port: 0 });
    assert.deepEqual([await ipv4.resolve('::1'), await ipv4.resolve('192.0.2.1')], [[], ['192.0.2.1']]);
    const ofName = await ipv4.resolve('localhost');
    assert.ok(ofName.length > 0 && ofName.every((address) => !address.includes(':')), ofName.join());
    await ipv4.close();
  });
});
