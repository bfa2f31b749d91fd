import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_TRUNK_SETTINGS, type MeshKey, type Trunk, TrunkEndpoint } from './index.ts';
import { KeyRing } from './link/keys.ts';
import { DatagramType, decodeInitiation, INITIATION_BYTES, MAC_BYTES, TRUNK_VERSION } from './link/wire.ts';
import { memberInitiation } from './testing/initiation.ts';
import { SimNetwork, type SimIo } from './testing/sim-network.ts';

const meshKey = (id: string, fill: number): MeshKey => ({ id, secret: Buffer.alloc(32, fill).toString('base64') });
const [KEY, NEXT_KEY] = [meshKey('k1', 7), meshKey('k2', 8)];
const PORT = 40_100;

interface Node {
  endpoint: TrunkEndpoint;
  io: SimIo;
}

function addNode(net: SimNetwork, name: string, address: string, keys = [KEY]): Node {
  const io = net.socket(address);
  const { clock, randomBytes: random, defer } = net;
  return {
    io,
    endpoint: new TrunkEndpoint({ io, self: { node: name }, keys, settings: DEFAULT_TRUNK_SETTINGS, clock, random, defer }),
  };
}

async function dial(from: Node, to: Node): Promise<Trunk> {
  const trunk = from.endpoint.dial({ node: to.endpoint.node, host: to.io.local.address, port: PORT });
  await new Promise((resolve) => setImmediate(resolve));
  return trunk;
}

/** Counts what the node sends to others than `known`, by type of datagram. */
function countAnswers(net: SimNetwork, from: string, known: readonly string[] = []): Map<number, number> {
  const answers = new Map<number, number>();
  net.filter = ({ data, to }, { address }) => {
    if (address !== from || known.includes(to.address)) return true;
    answers.set(data[1]!, (answers.get(data[1]!) ?? 0) + 1);
    return true;
  };
  return answers;
}

describe('The MAC of an initiation', () => {
  test('covers every byte, and is good under any key of the ring', () => {
    const net = new SimNetwork(1);
    const ring = new KeyRing([KEY, NEXT_KEY]);
    const initiations = [KEY, NEXT_KEY].map((key) => memberInitiation({ key, random: net.randomBytes, node: 'a', peer: 'b' }));
    initiations.forEach((datagram, i) => assert.equal(ring.authenticate(decodeInitiation(datagram)!), ring.keys[i]));
    const outsider = memberInitiation({ key: meshKey('k1', 9), random: net.randomBytes, node: 'a', peer: 'b' });
    assert.equal(ring.authenticate(decodeInitiation(outsider)!), 'forged');
    const bytes = fc.nat({ max: INITIATION_BYTES - 1 });
    fc.assert(
      fc.property(fc.constantFrom(...initiations), bytes, fc.integer({ min: 1, max: 255 }), (datagram, at, flip) => {
        const bent = Buffer.from(datagram);
        bent[at]! ^= flip;
        assert.equal(typeof ring.authenticate(decodeInitiation(bent)!), 'string');
      }),
    );
  });

  test('is asked for before any count, cookie or answer: a flood without it delays no handshake', async () => {
    const net = new SimNetwork(2);
    const [a, b] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'b', '192.0.2.2')];
    const answers = countAnswers(net, '192.0.2.2', ['192.0.2.1']);
    const recorded = memberInitiation({ key: KEY, random: net.randomBytes, node: 'a', peer: 'b' });
    const flood = (): void => {
      for (let i = 0; i < 20; i++) {
        const data = Buffer.from(recorded);
        // All that an outsider can make itself, the key tag included; and one with a good MAC whose cookie was changed.
        if (i % 2 === 0) net.randomBytes(INITIATION_BYTES - 16).copy(data, 16);
        else net.randomBytes(16).copy(data, 48);
        b.io.receive({ data, from: { address: `203.0.${i}.${Math.floor(net.random() * 256)}`, port: 1 + i } });
      }
      net.run(1);
    };
    // Half a second: more than any bucket holds.
    for (let ms = 0; ms < 500; ms++) flood();
    const trunk = await dial(a, b);
    let waitedMs = 0;
    for (; trunk.state !== 'up' && waitedMs < 1_000; waitedMs++) flood();
    assert.ok(waitedMs < 50, `the handshake took ${waitedMs} ms with 20 ms of round trip: it was limited`);
    assert.deepEqual([...answers], []);
    assert.equal(b.endpoint.drops.limited ?? 0, 0);
    assert.equal(b.endpoint.drops.forged, 20 * (500 + waitedMs));
  });

  test('of a rotated key is good as long as the node knows it, whichever is the current one', async () => {
    const net = new SimNetwork(3);
    const before = addNode(net, 'before', '192.0.2.1', [KEY]);
    const between = addNode(net, 'between', '192.0.2.2', [NEXT_KEY, KEY]);
    const after = addNode(net, 'after', '192.0.2.3', [NEXT_KEY]);
    const trunks = [await dial(before, between), await dial(after, between), await dial(before, after)];
    net.run(3_000);
    assert.deepEqual(
      trunks.map(({ state }) => state),
      ['up', 'up', 'connecting'],
    );
    assert.ok((after.endpoint.drops.unknownKey ?? 0) > 0);
  });

  test('is not needed to hear which versions are spoken here, in an answer smaller than its question', async () => {
    const net = new SimNetwork(4);
    const [, b] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'b', '192.0.2.2')];
    const told: Buffer[] = [];
    net.filter = ({ data }) => told.push(data) > 0;
    // Versions 1 and 2 had no MAC; nobody knows the layout of version 200.
    const questions = [1, 2, TRUNK_VERSION + 1, 200].map((version, i) => {
      const data = net.randomBytes(i === 0 ? 24 : INITIATION_BYTES - MAC_BYTES);
      data.set([version, DatagramType.initiation]);
      return data;
    });
    for (const data of questions) b.io.receive({ data, from: { address: '192.0.2.1', port: PORT } });
    net.run(0);
    assert.equal(told.length, questions.length);
    for (const [i, data] of told.entries()) {
      assert.deepEqual([...data.subarray(1, 4)], [DatagramType.refusal, TRUNK_VERSION, TRUNK_VERSION]);
      assert.deepEqual(data.subarray(4), questions[i]!.subarray(16, 24));
      assert.ok(data.length <= questions[i]!.length);
    }
  });
});

describe('A datagram of a stranger', () => {
  /** CPU time of 20,000 strangers' datagrams of each type that is about a trunk, at a node that dials `peers` others and has as many trunks up, ms. */
  async function costMs(peers: number): Promise<number> {
    const net = new SimNetwork(5);
    const hub = addNode(net, 'hub', '192.0.2.1');
    for (let i = 0; i < peers; i++) {
      const up = await dial(addNode(net, `up-${i}`, `198.51.100.${i}`), hub);
      hub.endpoint.dial({ node: `silent-${i}`, host: `203.0.113.${i}`, port: PORT });
      net.run(40);
      assert.equal(up.state, 'up');
    }
    const types: [number, number][] = [
      [DatagramType.cookie, 28],
      [DatagramType.refusal, 12],
      [DatagramType.unknownSession, 16],
    ];
    const datagrams = types.map(([type, bytes]) => {
      const data = net.randomBytes(bytes);
      data.set([TRUNK_VERSION, type]);
      return data;
    });
    const measure = (): number => {
      const start = process.cpuUsage();
      for (let i = 0; i < 20_000; i++) {
        for (const data of datagrams) hub.io.receive({ data, from: { address: '203.0.113.9', port: 5 } });
      }
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000;
    };
    measure();
    return Math.min(measure(), measure(), measure());
  }

  test('costs as much at a node with 400 trunks as at one with two: nothing walks over all trunks', async () => {
    const [few, many] = [await costMs(1), await costMs(200)];
    assert.ok(many < 5 * few, `${many} ms with 400 trunks, ${few} ms with two`);
  });
});
