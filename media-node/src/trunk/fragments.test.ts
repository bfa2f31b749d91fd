import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MAX_MEDIA_FRAME_BYTES } from '@millrace/api/trunk';
import type { LinkProfile } from '@millrace/link-emulator';
import { seededRandom } from '@millrace/service';
import { SEGMENT_HEADER_BYTES } from './arq/segment.ts';
import { DEFAULT_TRUNK_SETTINGS, type Trunk, TrunkEndpoint, type TrunkSettings } from './index.ts';
import { maxSegmentPayload } from './scheduling/outbox.ts';
import { SimNetwork } from './testing/sim-network.ts';

const KEYS = [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }];
const FEC: TrunkSettings['fec'] = { mode: 'Fixed', dataShards: 10, parityShards: 2 };

interface Arrived {
  conversation: number;
  payload: Buffer;
}

interface Pair {
  net: SimNetwork;
  trunk: Trunk;
  back: Trunk;
  arrived: Arrived[];
}

async function pair(
  path: Partial<LinkProfile>,
  change: { seed?: number; settings?: Partial<TrunkSettings> } = {},
): Promise<Pair> {
  const net = new SimNetwork(change.seed ?? 1);
  net.path = { delayMs: 15, keepsOrder: false, ...path };
  const arrived: Arrived[] = [];
  const [a, b] = ['a', 'b'].map((node) => {
    const { clock, randomBytes: random, defer } = net;
    const settings = { ...DEFAULT_TRUNK_SETTINGS, ...change.settings };
    return new TrunkEndpoint({ io: net.socket(node), self: { node }, keys: KEYS, settings, clock, random, defer });
  }) as [TrunkEndpoint, TrunkEndpoint];
  b.on('trunk', (trunk) => (trunk.onMedia = (conversation, payload) => arrived.push({ conversation, payload })));
  const trunk = a.dial({ node: 'b', host: 'b', port: 40_100 });
  await new Promise((resolve) => setImmediate(resolve));
  net.run(5_000);
  // At 10% of loss one of some thousand handshakes fails five times.
  for (let tries = 0; tries < 10 && trunk.state !== 'up'; tries++) net.run(2_000);
  assert.equal(trunk.state, 'up');
  trunk.setInUse(true);
  return { net, trunk, back: b.trunk('a')!, arrived };
}

/** Any bytes, the number first. */
function payloadOf(id: number, bytes: number): Buffer {
  const random = seededRandom(id);
  const payload = Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)));
  if (bytes >= 4) payload.writeUInt32LE(id);
  return payload;
}

function send(trunk: Trunk, payload: Buffer, conversation = 1): boolean {
  return trunk.sendMedia({ conversation, priority: 'video', payload });
}

describe('Media payloads larger than a datagram', () => {
  test('arrive byte for byte, once, at any size, over paths of any MTU, with loss, reordering, duplicates and FEC', async () => {
    const path = fc.record({
      seed: fc.integer(),
      mtuBytes: fc.constantFrom(700, 1100, 1280, 1400, 1500),
      loss: fc.constantFrom(0, 0.05, 0.1),
      duplication: fc.constantFrom(0, 0.1),
      jitterMs: fc.constantFrom(0, 30),
      fec: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(path, async ({ seed, fec, ...profile }) => {
        const { net, trunk, arrived } = await pair(profile, { seed, settings: { fec: fec ? FEC : { mode: 'Off' } } });
        const random = seededRandom(seed);
        const sent = Array.from({ length: 300 }, (_, i) => {
          const edge = [1, 12, 479, 480, 1131, 1132, 1403, 1404, MAX_MEDIA_FRAME_BYTES][i];
          return payloadOf(i, edge ?? 4 + Math.floor(random() * (MAX_MEDIA_FRAME_BYTES - 3)));
        });
        let isCutAnew = false;
        const run = (ms: number): void => {
          const before = trunk.stats().mtuBytes;
          net.run(ms);
          isCutAnew ||= trunk.stats().mtuBytes < before;
        };
        for (const [i, payload] of sent.entries()) {
          assert.ok(send(trunk, payload, 1 + (i % 3)));
          run(3);
        }
        for (let i = 0; i < 200; i++) run(10);
        const keys = arrived.map(({ payload }) => payload.toString('base64'));
        // What is cut anew for a smaller size may arrive twice; the carried stream drops the second (docs/trunk.md, Fragments).
        assert.ok(isCutAnew || new Set(keys).size === keys.length, 'delivered twice');
        const known = new Set(sent.map((payload) => payload.toString('base64')));
        assert.ok(
          keys.every((key) => known.has(key)),
          'bytes that nobody sent',
        );
        assert.ok(new Set(keys).size >= 297, `only ${keys.length} of 300 arrived`);
      }),
      { numRuns: 40 },
    );
  });

  test('cost what they must: whole below the path’s size, as many fragments as needed above, datagrams filled up', async () => {
    const { net, trunk, arrived } = await pair({});
    const most = maxSegmentPayload(1472);
    const segmentsFor = (bytes: number, count: number): { segments: number; datagrams: number } => {
      const before = trunk.stats();
      for (let i = 0; i < count; i++) send(trunk, payloadOf(i, bytes));
      net.run(5);
      const after = trunk.stats();
      return {
        segments: after.association!.arq.sent - before.association!.arq.sent,
        datagrams: after.sentDatagrams - before.sentDatagrams,
      };
    };
    const whole = segmentsFor(most, 20);
    assert.equal(whole.segments, 20);
    assert.ok(whole.datagrams <= 21, 'but for a beat');
    assert.equal(segmentsFor(most + 1, 20).segments, 40);
    // FFmpeg's default: two segments each, and hardly more datagrams than bytes would need.
    const { segments, datagrams } = segmentsFor(1488, 100);
    assert.equal(segments, 200);
    const needed = Math.ceil((100 * (1488 + 2 * SEGMENT_HEADER_BYTES)) / (most + SEGMENT_HEADER_BYTES));
    assert.ok(datagrams <= needed + 5, `${datagrams} datagrams, ${needed} would do`);
    net.run(1_000);
    assert.equal(arrived.length, 140);
  });

  test('that cannot be finished within their deadline go as a whole, and the window is not blocked', async () => {
    const { net, trunk, back, arrived } = await pair({});
    // Each second fragment is lost for a while.
    let lost = 0;
    net.filter = ({ data }, { address }) => !(address === 'a' && data.length > 200 && data.length < 1460 && ++lost);
    for (let i = 0; i < 50; i++) {
      send(trunk, payloadOf(i, 2000));
      net.run(20);
    }
    net.run(2_000);
    assert.ok(lost > 50);
    assert.equal(arrived.length, 0);
    net.filter = () => true;
    for (let i = 0; i < 50; i++) {
      send(trunk, payloadOf(i, 2000));
      net.run(20);
    }
    net.run(1_000);
    assert.equal(arrived.length, 50);
    assert.ok(trunk.stats().association!.arq.abandoned > 0);
    net.run(11_000);
    assert.ok(back.stats().association!.reassembly.incomplete > 0, 'the rest is counted');
  });
});

describe('A path that shrinks under a trunk in use', () => {
  const shrink = async (loss: number): Promise<void> => {
    const { net, trunk, arrived } = await pair({ loss });
    assert.equal(trunk.stats().mtuBytes, 1500);
    const transmissions = new Map<number, number>();
    let id = 0;
    const stream = (ms: number): void => {
      for (let i = 0; i < ms / 5; i++) {
        send(trunk, payloadOf(id++, 300 + ((id * 37) % (MAX_MEDIA_FRAME_BYTES - 300))));
        net.run(5);
      }
    };
    stream(1_000);
    net.run(1_000);
    const before = arrived.length;
    assert.ok(before >= id - 1);
    net.path = { delayMs: 15, keepsOrder: false, loss, mtuBytes: 1280 };
    net.filter = ({ data }, { address }) => {
      if (address === 'a' && data.length > 1252) transmissions.set(data.length, (transmissions.get(data.length) ?? 0) + 1);
      return true;
    };
    const sentBefore = id;
    stream(3_000);
    net.run(1_000);
    assert.equal(trunk.stats().mtuBytes, 1280);
    // What was handed over before the trunk knew is cut anew: it is late, not lost.
    const cameSince = new Set(arrived.slice(before).map(({ payload }) => payload.readUInt32LE(0)));
    const missing = id - sentBefore - cameSince.size;
    assert.ok(missing <= (loss > 0 ? 12 : 2), `${missing} of ${id - sentBefore} are missing`);
    const inVain = [...transmissions.values()].reduce((sum, count) => sum + count, 0);
    // Half a second of media, each a few times; 30 times each before.
    assert.ok(inVain < 600, `${inVain} datagrams that were too large`);
  };

  test('is noticed within half a second; what was under way is cut anew', () => shrink(0));
  test('and so it is at 5% of loss', () => shrink(0.05));

  test('of less than the base, from the start, is found before any media has to suffer', async () => {
    const { net, trunk, arrived } = await pair({ mtuBytes: 800 });
    assert.equal(trunk.stats().mtuBytes, 768);
    const { tooLarge } = net.link('a', 'b').counters;
    assert.ok(tooLarge > 0, 'the probes');
    for (let i = 0; i < 100; i++) {
      send(trunk, payloadOf(i, MAX_MEDIA_FRAME_BYTES));
      net.run(5);
    }
    net.run(500);
    assert.equal(arrived.length, 100);
    assert.equal(net.link('a', 'b').counters.tooLarge, tooLarge);
  });

  test('the probes are not taken for loss by either side', async () => {
    const { net, trunk, back } = await pair({ mtuBytes: 600 });
    net.run(3_000);
    assert.equal(trunk.stats().mtuBytes, 576);
    for (const { lossInPercent, lossOutPercent } of [trunk.stats(), back.stats()]) {
      assert.deepEqual([lossInPercent, lossOutPercent], [0, 0]);
    }
  });
});
