import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seededRandom } from '@millrace/service';
import { mediaFragment, SegmentCommand, writeSegmentHeader } from './arq/segment.ts';
import { Envelope, FrameType } from './frames.ts';
import { DEFAULT_TRUNK_SETTINGS, type MeshKey, type Trunk, TrunkEndpoint } from './index.ts';
import { DATA_HEADER_BYTES, DatagramType, INITIATION_BYTES, TRUNK_VERSION } from './link/wire.ts';
import { SimNetwork, type SimIo } from './testing/sim-network.ts';

const KEYS: MeshKey[] = [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }];

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function heapMiB(): Promise<number> {
  collect();
  // What buffers hold outside the heap is let go a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

interface Node {
  endpoint: TrunkEndpoint;
  io: SimIo;
  heard: number;
}

function addNode(net: SimNetwork, name: string, address = name): Node {
  const io = net.socket(address);
  const { clock, randomBytes: random, defer } = net;
  const endpoint = new TrunkEndpoint({
    io,
    self: { node: name },
    keys: KEYS,
    settings: DEFAULT_TRUNK_SETTINGS,
    clock,
    random,
    defer,
  });
  const node: Node = { endpoint, io, heard: 0 };
  endpoint.on('trunk', (trunk) => {
    trunk.onControl = () => (node.heard += 1);
    trunk.onMedia = () => (node.heard += 1);
  });
  return node;
}

async function dial(net: SimNetwork, from: Node, to: Node): Promise<Trunk> {
  const trunk = from.endpoint.dial({ node: to.endpoint.node, host: to.io.local.address, port: to.io.local.port });
  await new Promise((resolve) => setImmediate(resolve));
  net.run(3_000);
  assert.equal(trunk.state, 'up');
  return trunk;
}

const drops = (node: Node): number => Object.values(node.endpoint.drops).reduce((sum, count) => sum + count, 0);

describe('A stranger', () => {
  const from = { address: '203.0.113.9', port: 5000 };

  test('with any bytes, or real datagrams bent, cut or said again, harms nothing; each is counted by reason', async () => {
    const net = new SimNetwork(1);
    const [a, b] = [addNode(net, 'a'), addNode(net, 'b')];
    const recorded: Buffer[] = [];
    net.filter = ({ data, to }) => {
      if (to.address === 'b' && recorded.length < 500) recorded.push(Buffer.from(data));
      return true;
    };
    const trunk = await dial(net, a, b);
    for (let i = 0; i < 200; i++) {
      trunk.sendMedia({ conversation: 5, priority: 'video', payload: Buffer.alloc(200, i) });
      net.run(5);
    }
    net.run(100);
    // From here on it cannot be quicker than the network.
    net.filter = () => true;
    const { heard } = b;
    assert.ok(heard > 190);
    const random = seededRandom(2);
    const pick = (below: number): number => Math.floor(random() * below);
    const before = await heapMiB();
    const dropsBefore = drops(b);
    const COUNT = 200_000;
    for (let i = 0; i < COUNT; i++) {
      const real = recorded[pick(recorded.length)]!;
      let data: Buffer;
      switch (i % 4) {
        case 0: // Any bytes, mostly with a likely head.
          data = Buffer.from(Array.from({ length: pick(64) }, () => pick(256)));
          if (data.length > 2 && random() < 0.8) data.set([TRUNK_VERSION, 1 + pick(7)]);
          break;
        case 1: {
          data = Buffer.from(real);
          const at = pick(data.length);
          data[at] = data[at]! ^ (1 << pick(8));
          break;
        }
        case 2:
          data = Buffer.from(real.subarray(0, pick(real.length)));
          break;
        default:
          data = Buffer.from(real);
      }
      b.io.receive({ data, from });
      if (i % 500 === 0) net.run(10);
    }
    assert.equal(drops(b) - dropsBefore, COUNT, 'one reason for each datagram');
    const reasons: (keyof typeof b.endpoint.drops)[] = [
      'short',
      'version',
      'unknownType',
      'malformed',
      'forged',
      'replayed',
      'unknownSession',
      'stale',
    ];
    for (const reason of reasons)
      assert.ok((b.endpoint.drops[reason] ?? 0) > 0, `none was ${reason}: ${JSON.stringify(b.endpoint.drops)}`);
    const grown = (await heapMiB()) - before;
    assert.ok(grown < 10, `memory grew by ${grown} MiB`);
    assert.equal(b.heard, heard, 'nothing was delivered');
    assert.equal(b.endpoint.trunk('a')!.state, 'up');
    assert.equal(b.endpoint.trunk('a')!.link.address?.address, 'a', 'the peer is still where it was');
    assert.ok(trunk.sendControl(Buffer.from('still there')));
    net.run(200);
    assert.equal(b.heard, heard + 1);
  });

  test('that recorded a whole session gets one answer for it from a restarted node, and no trunk', async () => {
    const net = new SimNetwork(3);
    const [a, b] = [addNode(net, 'a'), addNode(net, 'b')];
    const recorded: Buffer[] = [];
    net.filter = ({ data, to }) => {
      if (to.address === 'b') recorded.push(Buffer.from(data));
      return true;
    };
    const trunk = await dial(net, a, b);
    for (let i = 0; i < 50; i++) {
      trunk.sendControl(Buffer.from(`message ${i}`));
      net.run(20);
    }
    await a.endpoint.close();
    await b.endpoint.close();
    const restarted = addNode(net, 'b');
    const answers: Buffer[] = [];
    net.filter = ({ data, to }) => {
      if (to.address === from.address) answers.push(data);
      return true;
    };
    for (let round = 0; round < 3; round++) {
      for (const data of recorded) restarted.io.receive({ data: Buffer.from(data), from });
      net.run(20_000);
    }
    assert.equal(restarted.heard, 0);
    assert.notEqual(restarted.endpoint.trunk('a')?.state, 'up');
    const initiations = recorded.filter((data) => data[1] === DatagramType.initiation).length;
    assert.equal(
      answers.filter((data) => data[1] === DatagramType.response).length,
      initiations,
      'once for each, not for each repetition',
    );
    const answered = answers.reduce((sum, data) => sum + data.length, 0);
    assert.ok(
      answered < 3 * recorded.reduce((sum, data) => sum + data.length, 0) * 0.5,
      'answers are smaller than what they answer',
    );
    net.run(120_000);
    restarted.io.receive({ data: Buffer.alloc(20), from });
    assert.equal([...restarted.endpoint.trunks].length, 0, 'and it is forgotten');
  });

  test('that floods with initiations gets no answer, costs no memory and keeps no peer out', async () => {
    const net = new SimNetwork(4);
    const [a, b] = [addNode(net, 'a'), addNode(net, 'b')];
    let sent = 0;
    net.filter = ({ to }) => {
      if (to.address.startsWith('203.')) sent += 1;
      return true;
    };
    const before = await heapMiB();
    const random = seededRandom(5);
    for (let second = 0; second < 3; second++) {
      for (let i = 0; i < 10_000; i++) {
        const data = Buffer.alloc(INITIATION_BYTES);
        data.set([TRUNK_VERSION, DatagramType.initiation]);
        data.writeUInt32LE(Math.floor(random() * 2 ** 32), 16);
        b.io.receive({ data, from: { address: `203.0.${i % 256}.${second}`, port: i } });
        if (i % 10 === 0) net.run(1);
      }
    }
    assert.equal(sent, 0);
    assert.deepEqual(b.endpoint.drops, { unknownKey: 30_000 });
    assert.ok((await heapMiB()) - before < 10);
    const dialled = a.endpoint.dial({ node: 'b', host: 'b', port: b.io.local.port });
    await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 50 && dialled.state !== 'up'; i++) {
      for (let j = 0; j < 10; j++) {
        const data = Buffer.alloc(INITIATION_BYTES);
        data.set([TRUNK_VERSION, DatagramType.initiation]);
        b.io.receive({ data, from });
      }
      net.run(1);
    }
    assert.equal(dialled.state, 'up');
  });
});

describe('An authenticated peer that means harm', () => {
  type Attack = (random: (below: number) => number, i: number) => Buffer;

  const plain = (type: number, body: Buffer): Buffer => {
    const frame = Buffer.alloc(4 + body.length);
    frame[0] = Envelope.plain;
    frame[1] = type;
    frame.writeUInt16LE(body.length, 2);
    body.copy(frame, 4);
    return frame;
  };
  interface Segment {
    id: number;
    command?: number;
    fragment?: number;
    window?: number;
    serial?: number;
    una?: number;
    length?: number;
    payload?: number;
  }
  const segment = ({
    id,
    command = SegmentCommand.push,
    fragment = 0,
    window = 1024,
    serial = 0,
    una = 0,
    payload = 20,
    length = payload,
  }: Segment): Buffer => {
    const out = Buffer.alloc(24 + payload, 0x61);
    writeSegmentHeader(out, 0, id, command, fragment, window, 0, serial, una, length);
    return out;
  };
  const u32 = (random: (below: number) => number): number => random(2 ** 32);

  const ATTACKS: [string, Attack, { unreadable?: boolean; datagrams?: number; segments?: number }][] = [
    ['any bytes', (random) => Buffer.from(Array.from({ length: 1 + random(80) }, () => random(256))), { unreadable: true }],
    [
      'frames of any type and length',
      (random) => plain([0, 1, 2, 3, 5, 6, 255][random(7)]!, Buffer.from(Array.from({ length: random(40) }, () => random(256)))),
      { unreadable: true },
    ],
    ['a new conversation with each datagram', (_random, i) => plain(FrameType.segments, segment({ id: 16 + i })), {}],
    [
      'fifty new conversations with each datagram',
      (_random, i) =>
        plain(
          FrameType.segments,
          Buffer.concat(Array.from({ length: 50 }, (_, n) => segment({ id: 16 + i * 50 + n, payload: 0 }))),
        ),
      { datagrams: 4_000, segments: 50 },
    ],
    [
      'serials anywhere',
      (random) =>
        plain(
          FrameType.segments,
          segment({ id: 16 + random(64), serial: u32(random), una: u32(random), window: random(65_536) }),
        ),
      {},
    ],
    [
      'serials always nearly a window ahead',
      (_random, i) => plain(FrameType.segments, segment({ id: 16, serial: (i * 1023) >>> 0 })),
      {},
    ],
    [
      'gaps in thousands of conversations',
      (random, i) => plain(FrameType.segments, segment({ id: 16 + (i % 4000), serial: 1000 + random(20) })),
      {},
    ],
    [
      'first fragments of payloads that never become whole, each in a large datagram',
      (_random, i) =>
        plain(
          FrameType.segments,
          Buffer.concat([
            segment({ id: 16 + (i % 8), serial: Math.floor(i / 8) * 2, fragment: mediaFragment(0, 1), payload: 1 }),
            segment({ id: 16, command: SegmentCommand.windowAsk, payload: 1000 }),
          ]),
        ),
      { segments: 2 },
    ],
    [
      'fragments that contradict each other',
      (random, i) =>
        plain(
          FrameType.segments,
          segment({
            id: 16 + random(4),
            serial: Math.floor(i / 4) + random(3),
            fragment: 1 + random(255),
            payload: random(1300),
          }),
        ),
      {},
    ],
    [
      'probes of the path MTU, true and false',
      (random, i) => {
        const body = Buffer.alloc(6);
        body.writeUInt32LE(i);
        // 16 + 1 + 3 + 6 + 16 bytes.
        body.writeUInt16LE(random(2) === 0 ? 42 : random(65_536), 4);
        return plain(random(3) === 0 ? FrameType.probeAnswer : FrameType.probe, body);
      },
      { unreadable: true },
    ],
    [
      'lengths beyond the datagram',
      (random) => plain(FrameType.segments, segment({ id: 16, length: u32(random) })),
      { unreadable: true },
    ],
    [
      'commands that are none',
      (random) => plain(FrameType.segments, segment({ id: 16, command: random(256) })),
      { unreadable: true },
    ],
    [
      'acknowledgements of what was never sent',
      (random) =>
        plain(
          FrameType.segments,
          segment({ id: random(32), command: SegmentCommand.ack, serial: u32(random), una: u32(random), window: 0 }),
        ),
      {},
    ],
    [
      'questions for windows of new conversations',
      (_random, i) => plain(FrameType.segments, segment({ id: 16 + i, command: SegmentCommand.windowAsk })),
      {},
    ],
    [
      'a control message without an end',
      (_random, i) => plain(FrameType.segments, segment({ id: 0, serial: i, fragment: 255, payload: 1300 })),
      {},
    ],
    [
      'control segments far ahead',
      (random, i) => plain(FrameType.segments, segment({ id: 0, serial: (i + 300 + random(200)) >>> 0, payload: 1300 })),
      {},
    ],
    [
      'FORWARDs anywhere',
      (random) => {
        const body = Buffer.alloc(8 * 50);
        for (let at = 0; at < body.length; at += 4) body.writeUInt32LE(at % 8 === 0 ? random(5000) : u32(random), at);
        return plain(FrameType.forward, body);
      },
      { datagrams: 10_000 },
    ],
    [
      'beats of any content',
      (random) => plain(FrameType.beat, Buffer.from(Array.from({ length: random(64) }, () => random(256)))),
      { unreadable: true },
    ],
    [
      'FEC shards of any group',
      (random) => {
        const out = Buffer.alloc(6 + random(1300), random(256));
        out.set([Envelope.shard, random(256)]);
        out.writeUInt32LE(random(2) === 0 ? random(70) : u32(random), 2);
        return out;
      },
      { unreadable: true },
    ],
    [
      'FEC parities of absurd groups',
      (random, i) => {
        const out = Buffer.alloc(8 + 1300, random(256));
        out.set([i % 3 === 0 ? Envelope.shard : Envelope.parity, random(40)]);
        out.writeUInt32LE(random(64), 2);
        out.set([random(256), random(256)], 6);
        return out;
      },
      { unreadable: true },
    ],
    [
      'FEC groups that contradict themselves again and again',
      (random, i) => {
        const out = Buffer.alloc(8 + 1300, random(256));
        const parity = i % 2 === 0;
        out.set([parity ? Envelope.parity : Envelope.shard, random(32)]);
        out.writeUInt32LE(Math.floor(i / 64), 2);
        if (parity) out.set([64, 32], 6);
        return out;
      },
      { unreadable: true },
    ],
  ];
  const DATAGRAMS = 60_000;

  for (const [what, attack, { unreadable = false, datagrams = DATAGRAMS, segments = 1 }] of ATTACKS) {
    test(`${what}: memory and time stay bounded, other trunks go on`, { timeout: 120_000 }, async () => {
      const net = new SimNetwork(6);
      const [a, b, c] = [addNode(net, 'a'), addNode(net, 'b'), addNode(net, 'c')];
      const evil = await dial(net, a, b);
      const honest = await dial(net, c, b);
      // It does not listen: what it is told piles up where it may.
      let listens = false;
      net.filter = ({ to }) => listens || to.address !== 'a';
      let session = evil.link.session!;
      const comeBack = (): void => {
        listens = true;
        for (let waited = 0; waited < 200 && b.endpoint.trunk('a')?.state !== 'up'; waited++) net.run(50);
        listens = false;
        session = evil.link.session!;
        assert.ok(session, 'the peer is let in again');
      };
      const source = seededRandom(7);
      const random = (below: number): number => Math.floor(source() * below);
      const from = a.io.local;
      let highestMiB = 0;
      const before = await heapMiB();
      let cpu = 0;
      for (let i = 0; i < datagrams; i++) {
        if (i % 100 === 0 && b.endpoint.trunk('a')?.state !== 'up') comeBack();
        const data = session.seal(attack(random, i));
        const start = process.cpuUsage();
        b.io.receive({ data, from });
        if (i % 20 === 0) net.run(1);
        const { user, system } = process.cpuUsage(start);
        cpu += user + system;
        if (i % (datagrams / 3) === 0) highestMiB = Math.max(highestMiB, (await heapMiB()) - before);
      }
      highestMiB = Math.max(highestMiB, (await heapMiB()) - before);
      assert.ok(highestMiB < 64, `memory grew by ${highestMiB.toFixed(1)} MiB`);
      // Five times and more of what the dearest takes: it is what grows with each datagram that must not be.
      const each = cpu / (datagrams * segments);
      assert.ok(each < 500, `${each.toFixed(0)} µs a segment`);
      const { heard } = b;
      assert.ok(honest.sendControl(Buffer.from('hello')));
      net.run(500);
      assert.ok(b.heard > heard, 'the honest peer is heard');
      const counted = b.endpoint.drops.unreadable ?? 0;
      assert.equal(counted > datagrams / 20, unreadable, `${counted} unreadable: ${JSON.stringify(b.endpoint.drops)}`);
    });
  }

  test('a datagram that was opened once is not opened again, in whatever order', async () => {
    const net = new SimNetwork(8);
    const [a, b] = [addNode(net, 'a'), addNode(net, 'b')];
    const trunk = await dial(net, a, b);
    const sealed = Array.from({ length: 3000 }, (_, i) =>
      trunk.link.seal(plain(FrameType.segments, segment({ id: 20, serial: i })))!,
    );
    const before = b.endpoint.drops.replayed ?? 0;
    for (const data of [...sealed].reverse()) b.io.receive({ data: Buffer.from(data), from: a.io.local });
    const delivered = b.heard;
    for (const data of sealed) b.io.receive({ data: Buffer.from(data), from: a.io.local });
    assert.equal(b.heard, delivered);
    assert.equal((b.endpoint.drops.replayed ?? 0) - before, 3000);
    assert.equal(sealed[0]!.length > DATA_HEADER_BYTES, true);
  });
});
