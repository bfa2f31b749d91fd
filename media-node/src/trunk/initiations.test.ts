import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { DEFAULT_TRUNK_SETTINGS, type MeshKey, type Trunk, TrunkEndpoint } from './index.ts';
import { InitiationStamps } from './link/initiation-stamps.ts';
import { KeyRing } from './link/keys.ts';
import { SourceLimit } from './link/source-limit.ts';
import {
  COOKIE_REPLY_BYTES,
  DatagramType,
  decodeInitiation,
  encodeCookieReply,
  INITIATION_BYTES,
  MAC_BYTES,
  TRUNK_VERSION,
} from './link/wire.ts';
import { memberInitiation } from './testing/initiation.ts';
import { SimNetwork, type SimIo } from './testing/sim-network.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

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

  test('is on cookies too: a stranger who sees the initiation neither sets its cookie nor makes the node send another', async () => {
    const net = new SimNetwork(6);
    const [a, b] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'b', '192.0.2.2')];
    const seen: Buffer[] = [];
    net.filter = ({ data }, { address }) => {
      if (address === '192.0.2.1' && data[1] === DatagramType.initiation) seen.push(Buffer.from(data));
      // The answers do not come.
      return address !== '192.0.2.2';
    };
    await dial(a, b);
    net.run(10);
    const ephemeral = decodeInitiation(seen[0]!)!.ephemeral;
    for (let i = 0; i < 50; i++) {
      const data = encodeCookieReply(ephemeral, net.randomBytes(16), () => net.randomBytes(MAC_BYTES));
      a.io.receive({ data, from: { address: '192.0.2.2', port: PORT } });
    }
    net.run(1);
    assert.equal(seen.length, 1, 'one initiation');
    assert.equal(a.endpoint.drops.forged, 50);
    net.run(1_000);
    assert.ok(seen.length > 2);
    for (const data of seen) assert.deepEqual(decodeInitiation(data)!.cookie, Buffer.alloc(16));
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

describe('A flood of initiations with a good MAC', () => {
  const initiation = (net: SimNetwork): Buffer =>
    memberInitiation({ key: KEY, random: net.randomBytes, node: 'evil', peer: 'somebody-else' });
  const sources = { one: (): string => '203.0.113.9', many: (i: number): string => `203.${i % 250}.${i % 241}.1` };

  /** Ten handshakes while `perMs` initiations come each ms from the sources, since `beforeMs`; returns how long the last one takes, ms, and what else the node sends. */
  async function handshakesIn(
    net: SimNetwork,
    next: () => Buffer,
    source: (i: number) => string,
    perMs: number,
    beforeMs: number,
  ): Promise<{ waitedMs: number; b: Node; answers: Map<number, number>; floodMs: number }> {
    const b = addNode(net, 'b', '192.0.2.2');
    const dialling = Array.from({ length: 10 }, (_, i) => addNode(net, `a-${i}`, `198.51.100.${i}`));
    const known = dialling.map(({ io }) => io.local.address);
    const answers = countAnswers(net, '192.0.2.2', known);
    let sent = 0;
    const flood = (): void => {
      for (let i = 0; i < perMs; i++) b.io.receive({ data: Buffer.from(next()), from: { address: source(sent++), port: 7 } });
      net.run(1);
    };
    for (let ms = 0; ms < beforeMs; ms++) flood();
    const trunks: Trunk[] = [];
    for (const node of dialling) trunks.push(await dial(node, b));
    let waitedMs = 0;
    for (; trunks.some(({ state }) => state !== 'up') && waitedMs < 2_000; waitedMs++) flood();
    return { waitedMs, b, answers, floodMs: beforeMs + waitedMs };
  }

  test('that was recorded takes nothing from anybody: a copy is not counted', async () => {
    const net = new SimNetwork(11);
    const recorded = Array.from({ length: 20 }, () => initiation(net));
    let i = 0;
    const { waitedMs, b } = await handshakesIn(net, () => recorded[i++ % recorded.length]!, sources.many, 20, 1_000);
    assert.ok(waitedMs < 50, `${waitedMs} ms`);
    assert.deepEqual(b.endpoint.drops, { misdirected: recorded.length, replayed: i - recorded.length });
  });

  test('from one prefix is limited there, and others need no cookie', async () => {
    const net = new SimNetwork(12);
    const { waitedMs, b, answers, floodMs } = await handshakesIn(net, () => initiation(net), sources.one, 2, 300);
    assert.ok(waitedMs < 50, `${waitedMs} ms`);
    const most = 100 + (50 * floodMs) / 1000 + 1;
    assert.ok(b.endpoint.drops.misdirected! <= most, `${b.endpoint.drops.misdirected} were opened, at most ${most} may be`);
    assert.deepEqual([...answers.keys()], [DatagramType.cookie]);
    const cookies = answers.get(DatagramType.cookie)!;
    assert.ok(cookies > 0 && cookies <= most, `${cookies} cookies`);
  });

  test('from forged sources everywhere costs a handshake one more round trip, for a cookie', async () => {
    const net = new SimNetwork(13);
    const { waitedMs, b } = await handshakesIn(net, () => initiation(net), sources.many, 4, 500);
    assert.ok(b.endpoint.drops.limited! > 500, 'the limit over all sources is reached');
    assert.ok(waitedMs < 100, `${waitedMs} ms`);
  });

  test('does not take the unknown-session notices of others, nor are those taken by a stranger of another prefix', () => {
    const net = new SimNetwork(14);
    const b = addNode(net, 'b', '192.0.2.2');
    const told = new Map<string, number>();
    net.filter = ({ data, to }) => {
      if (data[1] === DatagramType.unknownSession) told.set(to.address, (told.get(to.address) ?? 0) + 1);
      return true;
    };
    const data = Buffer.alloc(40);
    data.set([TRUNK_VERSION, DatagramType.data]);
    const send = (address: string): void => b.io.receive({ data: Buffer.from(data), from: { address, port: 5 } });
    for (let i = 0; i < 1_000; i++) send('2001:db8::1');
    for (let i = 0; i < 300; i++) b.io.receive({ data: initiation(net), from: { address: sources.one(), port: 7 } });
    send('2001:db8:0:1::1');
    send(sources.one());
    net.run(0);
    assert.deepEqual(Object.fromEntries(told), { '2001:db8::1': 40, '2001:db8:0:1::1': 1, [sources.one()]: 1 });
    // The rest of the /64 has no count of its own.
    send('2001:db8::2');
    net.run(0);
    assert.equal(told.get('2001:db8::2'), undefined);
  });

  test('leaves a bounded memory, whatever its sources', () => {
    const net = new SimNetwork(15);
    const limit = new SourceLimit({ perSecond: 500, perSecondOfPrefix: 20, clock: net.clock });
    const held = (): number => {
      collect();
      return process.memoryUsage().heapUsed / 2 ** 20;
    };
    const before = held();
    for (let i = 0; i < 100_000; i++) limit.take(`2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::1`, 0);
    const grownMiB = held() - before;
    assert.ok(limit.take('2001:db8::1', 10_000), 'still in use');
    assert.ok(grownMiB < 8, `${grownMiB} MiB`);
  });
});

describe('A recorded initiation of an earlier start', () => {
  const start = 1_700_000_000_000_000n;

  test('does not come in turn with one of another start for ever: no answer, no half-open session, also when the trunk is gone', async () => {
    const net = new SimNetwork(21);
    const b = addNode(net, 'b', '192.0.2.2');
    const answers = countAnswers(net, '192.0.2.2');
    // Each copy differs, as if the MACs of the recordings had been forgotten since.
    const replay = (boot: string, stamp: bigint): void => {
      const data = memberInitiation({ key: KEY, random: net.randomBytes, node: 'a', peer: 'b', boot, stamp });
      b.io.receive({ data, from: { address: '203.0.113.9', port: 5 } });
      net.run(200);
    };
    const recorded: [string, bigint][] = [
      ['1111111111111111', start],
      ['2222222222222222', start + 60_000_000n],
      ['3333333333333333', start + 120_000_000n],
    ];
    for (let round = 0; round < 30; round++) for (const [boot, stamp] of recorded) replay(boot, stamp);
    assert.equal(answers.get(DatagramType.response), recorded.length, 'once for each that this node had not seen');
    net.run(300_000);
    b.io.receive({ data: Buffer.alloc(20), from: { address: '203.0.113.9', port: 5 } });
    assert.equal([...b.endpoint.trunks].length, 0, 'nobody keeps the trunk up');
    for (const [boot, stamp] of recorded) replay(boot, stamp);
    assert.equal(answers.get(DatagramType.response), recorded.length);
    assert.equal([...b.endpoint.trunks].length, 0);
    assert.equal(b.endpoint.drops.replayed, 30 * 3);
  });

  test('does not push out the half-open session of the true peer', async () => {
    const net = new SimNetwork(22);
    const [a, b] = [addNode(net, 'a', '192.0.2.1'), addNode(net, 'b', '192.0.2.2')];
    const recorded: [string, bigint][] = [
      ['1111111111111111', start - 60_000_000n],
      ['2222222222222222', start - 30_000_000n],
    ];
    const replay = ([boot, stamp]: [string, bigint]): void => {
      const data = memberInitiation({ key: KEY, random: net.randomBytes, node: 'a', peer: 'b', boot, stamp });
      b.io.receive({ data, from: { address: '203.0.113.9', port: 5 } });
    };
    for (const one of recorded) replay(one);
    const trunk = await dial(a, b);
    for (let ms = 0; ms < 40; ms++) {
      for (const one of recorded) replay(one);
      net.run(1);
    }
    assert.equal(trunk.state, 'up');
    assert.equal(b.endpoint.trunk('a')?.state, 'up', 'the first datagram of the session opened');
  });

  const MINUTE = 60_000_000n;
  const wallMs = Number(start / 1000n) + 7_200_000;
  const stamped = (boot: string, stamp: bigint): { node: string; boot: string; stamp: bigint } => ({ node: 'a', boot, stamp });

  test('is told from a start whose clock went back by up to an hour', () => {
    const stamps = new InitiationStamps();
    stamps.note(stamped('one', start));
    const inTime = stamped('two', start - 59n * MINUTE);
    assert.ok(stamps.isFresh(inTime, wallMs));
    stamps.note(inTime);
    assert.ok(!stamps.isFresh(inTime, wallMs), 'once');
    assert.ok(stamps.isFresh(stamped('two', inTime.stamp + 1n), wallMs), 'it goes on from there');
    assert.ok(!stamps.isFresh(stamped('three', start - 61n * MINUTE), wallMs), 'too far back');
    assert.ok(stamps.isFresh({ ...inTime, node: 'another' }, wallMs), 'another peer');
  });

  test('of a clock in the future does not lock the peer out when its clock is right again', () => {
    const stamps = new InitiationStamps();
    const future = stamped('one', start + 1_000_000n * MINUTE);
    stamps.note(future);
    assert.ok(stamps.isFresh(stamped('two', BigInt(wallMs) * 1000n), wallMs));
    assert.ok(!stamps.isFresh(future, wallMs));
  });

  test('is never answered twice, in any order of any number of starts, and a newer stamp always is', () => {
    const recording = fc.record({ boot: fc.nat({ max: 30 }), minutes: fc.nat({ max: 90 }) });
    fc.assert(
      fc.property(fc.array(recording, { minLength: 1, maxLength: 300 }), (recordings) => {
        const stamps = new InitiationStamps();
        const answered = new Set<string>();
        let highest = 0n;
        for (const { boot, minutes } of recordings) {
          const one = stamped(`boot ${boot}`, start + BigInt(minutes) * MINUTE + BigInt(boot));
          const isFresh = stamps.isFresh(one, wallMs);
          if (one.stamp > highest) assert.ok(isFresh, 'newer than all before it');
          if (!isFresh) continue;
          const key = `${one.boot} ${one.stamp}`;
          assert.ok(!answered.has(key), `${key} is answered again`);
          answered.add(key);
          stamps.note(one);
          if (one.stamp > highest) highest = one.stamp;
        }
      }),
      { numRuns: 300 },
    );
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
      [DatagramType.cookie, COOKIE_REPLY_BYTES],
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
