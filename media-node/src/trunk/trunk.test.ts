import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MAX_MEDIA_FRAME_BYTES } from '@millrace/api/trunk';
import { DEFAULT_TRUNK_SETTINGS, type MeshKey, type Trunk, TrunkEndpoint, type TrunkSettings } from './index.ts';
import { DatagramType, REFUSAL_BYTES, TRUNK_VERSION } from './link/wire.ts';
import { memberInitiation } from './testing/initiation.ts';
import { SimNetwork, type SimIo } from './testing/sim-network.ts';

const KEYS: MeshKey[] = [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }];
const OTHER_KEYS: MeshKey[] = [{ id: 'k2', secret: Buffer.alloc(32, 8).toString('base64') }];

interface Node {
  endpoint: TrunkEndpoint;
  io: SimIo;
  events: string[];
  control: string[];
  media: { conversation: number; id: number; atMs: number }[];
  trunks: Trunk[];
}

function addNode(net: SimNetwork, name: string, change: { keys?: MeshKey[]; settings?: Partial<TrunkSettings> } = {}): Node {
  const io = net.socket(name);
  const endpoint = new TrunkEndpoint({
    io,
    self: { node: name },
    keys: change.keys ?? KEYS,
    settings: { ...DEFAULT_TRUNK_SETTINGS, ...change.settings },
    clock: net.clock,
    random: net.randomBytes,
    defer: net.defer,
  });
  const node: Node = { endpoint, io, events: [], control: [], media: [], trunks: [] };
  endpoint.on('trunk', (trunk) => {
    node.trunks.push(trunk);
    trunk.on('up', () => node.events.push('up'));
    trunk.on('lost', (reason) => node.events.push(`lost: ${reason}`));
    trunk.on('closed', () => node.events.push('closed'));
    trunk.onControl = (message) => node.control.push(message.toString());
    trunk.onMedia = (conversation, payload) => {
      node.media.push({ conversation, id: payload.readUInt32LE(0), atMs: net.clock.now() });
    };
  });
  return node;
}

async function dial(from: Node, to: Node): Promise<Trunk> {
  const trunk = from.endpoint.dial({ node: to.endpoint.node, host: to.io.local.address, port: to.io.local.port });
  await new Promise((resolve) => setImmediate(resolve));
  return trunk;
}

async function pair(
  net: SimNetwork,
  settings: Partial<TrunkSettings> = {},
): Promise<{ a: Node; b: Node; trunk: Trunk; back: Trunk }> {
  const a = addNode(net, 'a', { settings });
  const b = addNode(net, 'b', { settings });
  const trunk = await dial(a, b);
  net.run(5_000);
  assert.equal(trunk.state, 'up');
  return { a, b, trunk, back: b.trunks[0]! };
}

function media(id: number, bytes = 200): Buffer {
  const payload = Buffer.alloc(bytes);
  payload.writeUInt32LE(id);
  return payload;
}

const unkind = fc.record({
  seed: fc.integer(),
  loss: fc.double({ min: 0, max: 0.5, noNaN: true }),
  duplication: fc.double({ min: 0, max: 0.3, noNaN: true }),
  jitterMs: fc.integer({ min: 0, max: 60 }),
  fec: fc.boolean(),
});

const FEC: TrunkSettings['fec'] = { mode: 'Fixed', dataShards: 10, parityShards: 2 };

describe('A trunk over an unkind network', () => {
  test('delivers every control message exactly once and in order at up to half loss, with duplicates and reordering', async () => {
    await fc.assert(
      fc.asyncProperty(unkind, async ({ seed, loss, duplication, jitterMs, fec }) => {
        const net = new SimNetwork(seed);
        const { trunk, b } = await pair(net, { fec: fec ? FEC : { mode: 'Off' } });
        net.path = { delayMs: 15, jitterMs, loss, duplication };
        const sent = Array.from({ length: 40 }, (_, i) => `message ${i} ${'x'.repeat((i * 97) % 4000)}`);
        for (const message of sent) {
          assert.ok(trunk.sendControl(Buffer.from(message)));
          net.run(7);
        }
        net.run(20_000);
        assert.deepEqual(b.control, sent);
      }),
      { numRuns: 25 },
    );
  });

  test('delivers media at most once, nothing after its deadline, and nearly all of it at a fifth of loss', async () => {
    await fc.assert(
      fc.asyncProperty(unkind, async ({ seed, loss, duplication, jitterMs, fec }) => {
        const net = new SimNetwork(seed);
        const { trunk, b } = await pair(net, { fec: fec ? FEC : { mode: 'Off' } });
        net.path = { delayMs: 15, jitterMs, loss: loss * 0.4, duplication };
        const sentAt: number[] = [];
        for (let id = 0; id < 600; id++) {
          sentAt.push(net.clock.now());
          assert.ok(trunk.sendMedia({ conversation: 1 + (id % 3), priority: 'video', payload: media(id) }));
          net.run(2);
        }
        net.run(2_000);
        const ids = b.media.map(({ id }) => id);
        assert.equal(new Set(ids).size, ids.length, 'delivered twice');
        assert.ok(ids.length >= 594, `only ${ids.length} of 600 arrived`);
        for (const { id, atMs } of b.media)
          assert.ok(atMs - sentAt[id]! <= 600 + 15 + jitterMs, `${id} came after ${atMs - sentAt[id]!} ms`);
      }),
      { numRuns: 25 },
    );
  });

  test('with FEC, a lost datagram comes back without waiting for a retransmission', async () => {
    const net = new SimNetwork(5);
    const { trunk, back, b } = await pair(net, { fec: { mode: 'Fixed', dataShards: 5, parityShards: 1 } });
    net.path = { ...net.path, delayMs: 100 };
    let count = 0;
    net.filter = (datagram, from) => !(from.address === 'a' && datagram.data.length > 200 && ++count % 6 === 2);
    const startMs = net.clock.now();
    for (let id = 0; id < 20; id++) {
      trunk.sendMedia({ conversation: 1, priority: 'video', payload: media(id) });
      net.run(1);
    }
    net.run(140 - (net.clock.now() - startMs));
    assert.equal(b.media.length, 20);
    assert.equal(back.stats().association!.fec.recovered, 4);
    assert.equal(trunk.stats().association!.arq.retransmitted, 0);
  });

  test('audio goes before video when the rate is capped, and video that waits too long is dropped and counted', async () => {
    const net = new SimNetwork(6);
    const { trunk, b } = await pair(net, { rateCapMbps: 4 });
    for (let id = 0; id < 400; id++) {
      trunk.sendMedia({ conversation: 2, priority: 'video', payload: media(id, 1200) });
      if (id % 10 === 0) trunk.sendMedia({ conversation: 1, priority: 'audio', payload: media(10_000 + id) });
    }
    net.run(2_000);
    const audio = b.media.filter(({ conversation }) => conversation === 1);
    assert.equal(audio.length, 40);
    const lastAudio = b.media.findLastIndex(({ conversation }) => conversation === 1);
    assert.ok(lastAudio < 100, `audio ended at place ${lastAudio}`);
    const { evicted, overdue } = trunk.stats().association!.queues;
    const video = b.media.length - audio.length;
    assert.ok(evicted.video > 0);
    assert.equal(video + evicted.video + overdue.video, 400);
  });

  test('refuses a payload that is larger than a media frame, and anything while it is not up', async () => {
    const net = new SimNetwork(7);
    const { trunk, b } = await pair(net);
    assert.equal(
      trunk.sendMedia({ conversation: 1, priority: 'video', payload: Buffer.alloc(MAX_MEDIA_FRAME_BYTES + 1) }),
      false,
    );
    assert.equal(trunk.stats().oversize, 1);
    const other = b.endpoint.dial({ node: 'nobody', host: 'nowhere', port: 1 });
    assert.equal(other.sendControl(Buffer.from('x')), false);
  });
});

describe('A trunk in use', () => {
  test('is given up 150 to 220 ms after the peer fell silent when it had lost nothing before', async () => {
    const net = new SimNetwork(8);
    const { trunk, a, b } = await pair(net);
    trunk.setInUse(true);
    net.run(3_000);
    assert.deepEqual([...a.events, ...b.events], ['up', 'up']);
    net.filter = () => false;
    net.run(140);
    assert.deepEqual(a.events, ['up']);
    net.run(80);
    assert.deepEqual(a.events, ['up', 'lost: silent']);
  });

  test('is given up within half a second when the peer had died before, and nobody knew', async () => {
    const net = new SimNetwork(8);
    const { trunk, a } = await pair(net);
    net.run(10_000);
    net.filter = () => false;
    net.run(300);
    trunk.setInUse(true);
    net.run(300);
    assert.deepEqual(a.events, ['up']);
    net.run(150);
    assert.deepEqual(a.events, ['up', 'lost: silent']);
  });

  test('coming into use over a slow link that loses a fifth is not taken for dead', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const net = new SimNetwork(seed);
      net.path = { delayMs: 120, jitterMs: 20, loss: 0.2, keepsOrder: false };
      const { trunk, back, a, b } = await pair(net);
      for (let i = 0; i < 20; i++) {
        net.run(7_000);
        for (const side of [trunk, back]) side.setInUse(i % 2 === 0);
      }
      assert.deepEqual([...a.events, ...b.events], ['up', 'up'], `seed ${seed}`);
    }
  });

  test('outlives at 30% loss what would end a good one, and is given up within a second all the same', async () => {
    const net = new SimNetwork(9);
    const { trunk, a } = await pair(net);
    trunk.setInUse(true);
    net.path = { ...net.path, loss: 0.3 };
    net.run(20_000);
    assert.deepEqual(a.events, ['up']);
    assert.ok(Math.abs(trunk.stats().lossInPercent - 30) < 15, `${trunk.stats().lossInPercent}`);
    assert.ok(Math.abs(trunk.stats().lossOutPercent - 30) < 15, `${trunk.stats().lossOutPercent}`);
    net.filter = () => false;
    net.run(220);
    assert.deepEqual(a.events, ['up']);
    net.run(780);
    assert.deepEqual(a.events, ['up', 'lost: silent']);
  });

  test('beats fast in both directions though one side uses it, and slows down without being taken for dead', async () => {
    const net = new SimNetwork(10);
    const { trunk, back, a, b } = await pair(net);
    trunk.setInUse(true);
    net.run(1_000);
    const before = [trunk.stats().sentDatagrams, back.stats().sentDatagrams];
    net.run(1_000);
    const after = [trunk.stats().sentDatagrams, back.stats().sentDatagrams];
    for (const side of [0, 1]) assert.ok(after[side]! - before[side]! >= 24, `side ${side}`);
    net.path = { ...net.path, loss: 0.2 };
    for (let i = 0; i < 20; i++) {
      trunk.setInUse(i % 2 === 1);
      net.run(5_000);
    }
    assert.deepEqual([...a.events, ...b.events], ['up', 'up']);
  });

  test('is not judged by a process that was itself held up', async () => {
    const net = new SimNetwork(11);
    const { trunk, a, b } = await pair(net);
    trunk.setInUse(true);
    net.run(2_000);
    for (let i = 0; i < 5; i++) {
      net.stall(400);
      net.run(1_000);
    }
    assert.deepEqual([...a.events, ...b.events], ['up', 'up']);
  });

  test('measures the round trip and its variation', async () => {
    const net = new SimNetwork(12);
    net.path = { ...net.path, delayMs: 40, jitterMs: 10 };
    const { trunk } = await pair(net);
    trunk.setInUse(true);
    net.run(10_000);
    const { rttMs, jitterMs } = trunk.stats();
    assert.ok(rttMs > 80 && rttMs < 100, `rtt ${rttMs}`);
    assert.ok(jitterMs > 1 && jitterMs < 8, `jitter ${jitterMs}`);
  });

  test('comes up again by itself when the network is back', async () => {
    const net = new SimNetwork(13);
    const { trunk, a, b } = await pair(net);
    trunk.setInUse(true);
    net.run(1_000);
    net.filter = () => false;
    net.run(5_000);
    net.filter = () => true;
    net.run(3_000);
    assert.deepEqual(a.events, ['up', 'lost: silent', 'up']);
    assert.deepEqual(b.events, ['up', 'lost: silent', 'up']);
    trunk.sendControl(Buffer.from('again'));
    net.run(100);
    assert.deepEqual(b.control, ['again']);
  });
});

describe('The link of a trunk', () => {
  test('is one for two nodes that dial each other at once, and both send on the same session', async () => {
    const net = new SimNetwork(14);
    const a = addNode(net, 'a');
    const b = addNode(net, 'b');
    const [toB, toA] = await Promise.all([dial(a, b), dial(b, a)]);
    net.run(2_000);
    assert.equal(toB.link.session!.remoteIndex, toA.link.session!.localIndex);
    assert.equal(toB.link.session!.localIndex, toA.link.session!.remoteIndex);
    assert.deepEqual([a.events, b.events], [['up'], ['up']]);
    assert.deepEqual([a.trunks.length, b.trunks.length], [1, 1]);
  });

  test('replaces the session of a peer that restarted, soon and starting afresh', async () => {
    const net = new SimNetwork(15);
    const { a, b, back } = await pair(net);
    back.sendControl(Buffer.from('before'));
    net.run(100);
    net.remove(a.io);
    const again = addNode(net, 'a');
    const trunk = await dial(again, b);
    net.run(200);
    assert.equal(trunk.state, 'up');
    assert.deepEqual(b.events, ['up', 'lost: peerRestarted', 'up']);
    back.sendControl(Buffer.from('after'));
    net.run(100);
    assert.deepEqual(again.control, ['after']);
  });

  test('is renewed when a restarted peer that does not dial says that it knows nothing of the session', async () => {
    const net = new SimNetwork(16);
    const { a, b, trunk } = await pair(net);
    net.remove(b.io);
    const again = addNode(net, 'b');
    trunk.sendControl(Buffer.from('anyone there?'));
    net.run(500);
    assert.deepEqual(a.events, ['up', 'lost: peerRestarted', 'up']);
    assert.deepEqual(again.events, ['up']);
  });

  test('follows the peer to a new address', async () => {
    const net = new SimNetwork(17);
    const { a, b, trunk, back } = await pair(net);
    net.move(a.io, 'a-behind-another-nat');
    trunk.sendControl(Buffer.from('moved'));
    net.run(200);
    back.sendControl(Buffer.from('found you'));
    net.run(200);
    assert.deepEqual([a.control, b.control], [['found you'], ['moved']]);
    assert.equal(back.stats().address!.address, 'a-behind-another-nat');
    assert.equal(back.stats().rebinds, 1);
  });

  test('renews its keys every two minutes without losing anything', async () => {
    const net = new SimNetwork(18);
    const { a, b, trunk } = await pair(net);
    const first = trunk.link.session;
    for (let id = 0; id < 3_000; id++) {
      trunk.sendMedia({ conversation: 1, priority: 'audio', payload: media(id) });
      net.run(100);
    }
    assert.notEqual(trunk.link.session, first);
    assert.equal(new Set(b.media.map(({ id }) => id)).size, 3_000);
    assert.deepEqual([...a.events, ...b.events], ['up', 'up']);
  });

  test('moves to a new mesh key while the old one is still known, whoever learns of it first', async () => {
    const net = new SimNetwork(19);
    const { a, b, trunk } = await pair(net);
    a.endpoint.configure({ keys: [...OTHER_KEYS, ...KEYS] });
    net.run(3_000);
    assert.equal(trunk.link.session!.keyId, 'k1');
    b.endpoint.configure({ keys: [...OTHER_KEYS, ...KEYS] });
    net.run(3_000);
    assert.equal(trunk.link.session!.keyId, 'k2');
    assert.equal(b.trunks[0]!.link.session!.keyId, 'k2');
    assert.deepEqual([...a.events, ...b.events], ['up', 'up']);
  });

  test('ends with a node that only knows a key that was taken out of the mesh', async () => {
    const net = new SimNetwork(25);
    const { a, b, trunk } = await pair(net);
    trunk.setInUse(true);
    a.endpoint.configure({ keys: OTHER_KEYS });
    net.run(20_000);
    assert.deepEqual(a.events, ['up']);
    net.run(15_000);
    assert.deepEqual(
      [a.events, b.events],
      [
        ['up', 'lost: silent'],
        ['up', 'lost: silent'],
      ],
    );
  });

  test('never comes up without the mesh key, nor with a node of another name than dialled', async () => {
    const net = new SimNetwork(20);
    const a = addNode(net, 'a');
    const stranger = addNode(net, 'stranger', { keys: OTHER_KEYS });
    const sameId = addNode(net, 'same-id', { keys: [{ id: 'k1', secret: OTHER_KEYS[0]!.secret }] });
    await dial(stranger, a);
    await dial(sameId, a);
    const b = addNode(net, 'b');
    b.endpoint.dial({ node: 'c', host: 'a', port: 40_100 });
    await new Promise((resolve) => setImmediate(resolve));
    net.run(5_000);
    for (const node of [a, b, stranger, sameId]) assert.ok(!node.events.includes('up'));
    assert.ok(a.endpoint.drops.unknownKey! > 0);
    assert.ok(a.endpoint.drops.forged! > 0);
    assert.ok(a.endpoint.drops.misdirected! > 0);
  });

  test('a node of another version is told which are spoken here', async () => {
    const net = new SimNetwork(21);
    const a = addNode(net, 'a');
    const b = addNode(net, 'b');
    let refusals = 0;
    net.filter = (datagram) => {
      if (datagram.data[1] === DatagramType.initiation) datagram.data[0] = 9;
      if (datagram.data[1] === DatagramType.refusal && datagram.data.length === REFUSAL_BYTES) refusals++;
      return true;
    };
    const trunk = await dial(a, b);
    net.run(1_000);
    assert.ok(refusals > 0);
    assert.deepEqual(trunk.refusedBy, { lowest: TRUNK_VERSION, highest: TRUNK_VERSION });
    assert.ok(b.endpoint.drops.version! > 0);
  });

  test('takes no recorded datagram a second time', async () => {
    const net = new SimNetwork(22);
    const recorded: Buffer[] = [];
    net.filter = (datagram, from) => {
      if (from.address === 'a') recorded.push(Buffer.from(datagram.data));
      return true;
    };
    const { trunk, b, back } = await pair(net);
    trunk.sendControl(Buffer.from('once'));
    net.run(1_000);
    const sessionBefore = back.link.session;
    const again = [...recorded];
    for (const data of again) b.io.receive({ data, from: { address: 'attacker', port: 1 } });
    net.run(1_000);
    assert.deepEqual(b.control, ['once']);
    assert.equal(back.link.session, sessionBefore);
    assert.equal(back.stats().address!.address, 'a');
    assert.deepEqual(b.endpoint.drops, { replayed: again.length });
  });

  test('handshakes still get through, by cookie, while a member of the mesh floods the endpoint with them', async () => {
    const net = new SimNetwork(23);
    const a = addNode(net, 'a');
    const b = addNode(net, 'b');
    const trunk = a.endpoint.dial({ node: 'b', host: 'b', port: 40_100 });
    await new Promise((resolve) => setImmediate(resolve));
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 30; i++) {
        const data = memberInitiation({ key: KEYS[0]!, random: net.randomBytes, node: 'evil', peer: 'nobody' });
        b.io.receive({ data, from: { address: `stranger-${i}`, port: round } });
      }
      net.run(10);
    }
    assert.equal(trunk.state, 'up');
    assert.ok(b.endpoint.drops.limited! > 1_000);
    assert.equal(b.trunks.length, 1);
  });

  test('survives arbitrary datagrams, whole and mangled', async () => {
    const net = new SimNetwork(24);
    const seen: Buffer[] = [];
    net.filter = (datagram) => {
      if (seen.length < 200) seen.push(Buffer.from(datagram.data));
      return true;
    };
    const { trunk, a, b } = await pair(net, { fec: FEC });
    for (let id = 0; id < 50; id++) {
      trunk.sendMedia({ conversation: 1, priority: 'video', payload: media(id) });
      net.run(5);
    }
    const mangled = fc.record({
      at: fc.nat(),
      place: fc.nat(),
      value: fc.integer({ min: 0, max: 255 }),
      cut: fc.nat({ max: 400 }),
    });
    fc.assert(
      fc.property(mangled, fc.uint8Array({ maxLength: 1500 }), ({ at, place, value, cut }, noise) => {
        const data = Buffer.from(seen[at % seen.length]!);
        data[place % data.length] = value;
        for (const node of [a, b]) {
          node.io.receive({
            data: data.subarray(0, Math.max(0, data.length - (cut % 3 ? 0 : cut))),
            from: { address: 'x', port: 1 },
          });
          const type = Buffer.from([TRUNK_VERSION, 1 + ((noise[0] ?? 0) % 6), ...noise]);
          node.io.receive({ data: type, from: { address: 'x', port: 1 } });
          node.io.receive({ data: Buffer.from(noise), from: { address: 'x', port: 1 } });
        }
        net.run(1);
      }),
      { numRuns: 500 },
    );
    trunk.sendControl(Buffer.from('still here'));
    net.run(500);
    assert.deepEqual(b.control, ['still here']);
    assert.deepEqual([...a.events, ...b.events], ['up', 'up']);
  });
});
