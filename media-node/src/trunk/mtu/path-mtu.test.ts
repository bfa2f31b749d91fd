import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { seededRandom } from '@millrace/service';
import { BASE_DATAGRAM, MAX_DATAGRAM, MIN_DATAGRAM } from '../link/wire.ts';
import { PathMtu } from './path-mtu.ts';

interface Path {
  /** IP packets above this vanish. */
  mtu: number;
  loss?: number;
  rttMs?: number;
  /** Bytes of IP and UDP headers. */
  headers?: number;
  /** A router says by ICMP what is too large, and from then on the sender's kernel sends it in fragments, which get through. */
  kernelFragments?: boolean;
}

/** A search over a path, by virtual time. */
class Search {
  readonly mtu = new PathMtu();
  nowMs = 1_000;
  path: Path;
  probes = 0;
  private readonly random: () => number;
  private readonly arriving: { atMs: number; round: number; size: number }[] = [];
  private learnt = false;

  constructor(path: Path, seed = 1) {
    this.path = path;
    this.random = seededRandom(seed);
  }

  run(ms: number): this {
    const { rttMs = 20 } = this.path;
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 5) {
      while (this.arriving[0] && this.arriving[0].atMs <= this.nowMs) {
        const { round, size } = this.arriving.shift()!;
        this.mtu.answered(round, size);
      }
      const probes = this.mtu.service(this.nowMs, { rttMs, loss: this.path.loss ?? 0 });
      for (const size of probes?.sizes ?? []) {
        this.probes++;
        if (this.carries(size)) this.arriving.push({ atMs: this.nowMs + rttMs, round: probes!.round, size });
      }
    }
    return this;
  }

  private carries(size: number): boolean {
    const { mtu, loss = 0, headers = 28, kernelFragments = false } = this.path;
    const fits = size + headers <= mtu || this.learnt;
    if (!fits && kernelFragments) this.learnt = true;
    // Both ways.
    return fits && this.random() >= loss && this.random() >= loss;
  }
}

function search(path: Path, seed = 1): Search {
  const it = new Search(path, seed);
  it.mtu.begin(MAX_DATAGRAM, path.headers ?? 28, it.nowMs);
  return it;
}

describe('The path MTU search', () => {
  test('starts at what nearly every path carries and finds what this one does within a few round trips', () => {
    for (const [mtu, headers] of [
      [1280, 28],
      [1400, 28],
      [1420, 28],
      [1460, 28],
      [1500, 28],
      [1280, 48],
      [1400, 48],
      [1500, 48],
    ] as const) {
      const it = search({ mtu, headers });
      assert.equal(it.mtu.size, BASE_DATAGRAM);
      it.run(200);
      assert.equal(it.mtu.size, mtu - headers, `MTU ${mtu}, headers ${headers}`);
    }
  });

  test('never uses more than the path carries once it has settled, nor less than the step below, on paths of any MTU and up to 20% of loss', () => {
    fc.assert(
      fc.property(
        fc.record({
          mtu: fc.integer({ min: 576, max: 1600 }),
          loss: fc.constantFrom(0, 0.02, 0.05, 0.2),
          rttMs: fc.integer({ min: 1, max: 300 }),
          seed: fc.integer(),
        }),
        ({ mtu, loss, rttMs, seed }) => {
          const it = search({ mtu, loss, rttMs }, seed).run(30_000);
          assert.ok(it.mtu.size + 28 <= mtu, `${it.mtu.size} on a path of ${mtu}`);
          assert.ok(it.mtu.size >= MIN_DATAGRAM);
          if (loss === 0) assert.ok(it.mtu.size + 28 > mtu - 257, `only ${it.mtu.size} on a path of ${mtu}`);
          assert.ok(it.probes < 120, `${it.probes} probes`);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('goes no further than the interface and the peer allow', () => {
    const it = new Search({ mtu: 1500 });
    it.mtu.begin(1422, 28, it.nowMs);
    it.run(1_000);
    assert.equal(it.mtu.size, 1422);
    const narrow = new Search({ mtu: 1000 });
    narrow.mtu.begin(972, 28, narrow.nowMs);
    assert.equal(narrow.mtu.size, 972, 'from the start');
  });

  test('stays below what only the kernel’s IP fragments carry', () => {
    const it = search({ mtu: 1350, kernelFragments: true }).run(60_000);
    assert.equal(it.mtu.size, 1252);
  });

  test('looks again after ten minutes whether more has become possible', () => {
    const it = search({ mtu: 1280 }).run(1_000);
    assert.equal(it.mtu.size, 1252);
    const { probes } = it;
    it.path = { mtu: 1500 };
    it.run(600_000);
    assert.equal(it.mtu.size, 1252);
    assert.equal(it.probes, probes, 'nothing is sent meanwhile');
    it.run(60_000);
    assert.equal(it.mtu.size, 1472);
  });

  test('finds a path that shrank within half a second of the first suspicion, and takes loss for loss', () => {
    const it = search({ mtu: 1500 }).run(1_000);
    it.path = { mtu: 1280 };
    it.mtu.suspect(it.nowMs);
    it.run(500);
    assert.equal(it.mtu.size, 1252);
    it.path = { mtu: 1280, loss: 0.2 };
    it.run(2_000);
    it.mtu.suspect(it.nowMs);
    it.run(2_000);
    assert.equal(it.mtu.size, 1252, 'still what the path carries');
  });

  test('is not led astray by a path that carries nothing at all', () => {
    const it = search({ mtu: 1500 }).run(1_000);
    it.path = { mtu: 0 };
    it.mtu.suspect(it.nowMs);
    it.run(10_000);
    assert.equal(it.mtu.size, 1472);
    it.path = { mtu: 1400 };
    it.run(5_000);
    assert.equal(it.mtu.size, 1372);
  });

  test('suspicions without cause come to nothing, ever more seldom', () => {
    const it = search({ mtu: 1500 }).run(1_000);
    const { probes } = it;
    for (let i = 0; i < 6_000; i++) {
      it.mtu.suspect(it.nowMs);
      it.run(100);
    }
    assert.equal(it.mtu.size, 1472);
    assert.ok(it.probes - probes < 250, `${it.probes - probes} probes in ten minutes`);
  });

  test('looks again when the peer comes from another address', () => {
    const it = search({ mtu: 1500 }).run(1_000);
    it.path = { mtu: 1280 };
    it.mtu.moved(it.nowMs);
    it.run(500);
    assert.equal(it.mtu.size, 1252);
  });
});
