import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ExclusionReason, Role } from '@millrace/api';
import { seededRandom } from '@millrace/service';
import fc from 'fast-check';
import { ClientRegions } from './client-regions.ts';
import { schedule, type Candidate, type ScheduleRequest } from './schedule.ts';

const IDLE = { cpuPercent: 5, egressMbps: 0, ingressMbps: 0, sessions: 0, publishers: 0, viewers: 0, streams: 0 };

function node(name: string, more: Partial<Candidate> = {}): Candidate {
  return {
    node: name,
    region: 'north',
    roles: ['push', 'pull'],
    connected: true,
    reportAgeMs: 500,
    load: IDLE,
    capacity: { sessions: 100, egressMbps: 1000 },
    pending: 0,
    cordoned: false,
    draining: false,
    https: true,
    carries: false,
    ...more,
  };
}

function request(more: Partial<ScheduleRequest> = {}): ScheduleRequest {
  return { kind: 'pull', stream: 'live/demo', exclude: new Set(), rttMs: () => undefined, count: 4, ...more };
}

function names(wanted: ScheduleRequest, candidates: Candidate[], seed = 1): string[] {
  const result = schedule(wanted, candidates, seededRandom(seed));
  return result.ok ? result.choices.map((choice) => choice.node) : [];
}

const cpu = (cpuPercent: number) => ({ load: { ...IDLE, cpuPercent } });

describe('the schedule', () => {
  const excluded: [ExclusionReason, Partial<Candidate>, Partial<ScheduleRequest>?][] = [
    ['WrongRole', { roles: ['push', 'relay'] }],
    ['RegionNotAllowed', { region: 'south' }, { allowedRegions: ['north'] }],
    ['Excluded', {}, { exclude: new Set(['bad']) }],
    ['NoHttps', { https: false }, { httpsOnly: true }],
    ['Disconnected', { connected: false }],
    ['StaleReport', { reportAgeMs: 5001 }],
    ['StaleReport', { reportAgeMs: undefined, load: undefined }],
    ['Cordoned', { cordoned: true }],
    ['Draining', { draining: true }],
    ['SessionsFull', { load: { ...IDLE, sessions: 100 } }],
    ['SessionsFull', { load: { ...IDLE, sessions: 98 }, pending: 2 }],
    ['EgressFull', { load: { ...IDLE, egressMbps: 1000 } }],
    ['CpuFull', cpu(90.1)],
  ];
  for (const [reason, candidate, wanted] of excluded) {
    test(`leaves out a node for ${reason} (${JSON.stringify(candidate)}) and gives the reason when no other node fits`, () => {
      assert.deepEqual(schedule(request(wanted), [node('bad', candidate)], seededRandom(1)), {
        ok: false,
        reasons: [{ node: 'bad', reason }],
      });
      assert.deepEqual(names(request(wanted), [node('bad', candidate), node('good')]), ['good']);
    });
  }

  test("puts the client's region first, then regions by measured RTT, then those not measured", () => {
    const rtt: Record<string, number> = { east: 80, south: 20 };
    const candidates = ['west', 'east', 'north', 'south'].map((region) => node(`n-${region}`, { region }));
    const wanted = request({ region: 'north', rttMs: (from, to) => (from === 'north' ? rtt[to] : undefined) });
    assert.deepEqual(names(wanted, candidates), ['n-north', 'n-south', 'n-east', 'n-west']);
  });

  test('goes to the nearest allowed region when its own is not allowed', () => {
    const candidates = ['north', 'south', 'east'].map((region) => node(`n-${region}`, { region }));
    const rttMs = (_: string, to: string): number => ({ north: 0, south: 50, east: 30 })[to]!;
    assert.deepEqual(names(request({ region: 'north', allowedRegions: ['south', 'east'], rttMs }), candidates), [
      'n-east',
      'n-south',
    ]);
  });

  test('prefers nodes of the same ISP, within the region, and when the region is unknown', () => {
    const candidates = [
      node('a', { isp: 'one' }),
      node('b', { isp: 'two', ...cpu(50) }),
      node('c', { region: 'south', isp: 'three' }),
    ];
    assert.equal(names(request({ isp: 'two', region: 'north' }), candidates)[0], 'b');
    assert.equal(names(request({ isp: 'three' }), candidates)[0], 'c');
  });

  test('of two nodes always takes the emptier one', () => {
    for (let seed = 0; seed < 50; seed++) assert.equal(names(request(), [node('busy', cpu(60)), node('idle')], seed)[0], 'idle');
  });

  test('spreads over equally loaded nodes instead of herding', () => {
    const candidates = Array.from({ length: 10 }, (_, i) => node(`n${i}`));
    const counts = new Map<string, number>();
    const random = seededRandom(7);
    for (let i = 0; i < 1000; i++) {
      const result = schedule(request(), candidates, random);
      assert.ok(result.ok);
      const first = result.choices[0]!;
      first.pending++;
      counts.set(first.node, (counts.get(first.node) ?? 0) + 1);
      if (i % 100 === 99) for (const candidate of candidates) candidate.pending = 0;
    }
    assert.ok(
      [...counts.values()].every((count) => count >= 60 && count <= 140),
      JSON.stringify([...counts]),
    );
  });

  test('prefers a node that carries the stream for a viewer, not for a publisher, and only while it has room', () => {
    const candidates = [node('idle'), node('idle2'), node('carrier', { carries: true, ...cpu(50) })];
    assert.equal(names(request(), candidates)[0], 'carrier');
    assert.notEqual(names(request({ kind: 'push' }), candidates)[0], 'carrier');
    candidates[2] = node('carrier', { carries: true, ...cpu(80) });
    assert.notEqual(names(request(), candidates)[0], 'carrier');
  });

  test('keeps a group together, and moves it only when its node leaves or is full', () => {
    const candidates = Array.from({ length: 8 }, (_, i) => node(`n${i}`));
    const home = names(request({ group: 'class-7' }), candidates, 1)[0]!;
    for (let seed = 2; seed < 30; seed++) assert.equal(names(request({ group: 'class-7' }), candidates, seed)[0], home);
    const others = candidates.filter((candidate) => candidate.node !== home);
    const second = names(request({ group: 'class-7' }), others)[0];
    assert.equal(names(request({ group: 'class-7' }), [...others, node(home, cpu(80))])[0], second);
    assert.ok([home, 'n99'].includes(names(request({ group: 'class-7' }), [...candidates, node('n99')])[0]!));
  });

  test('gives as many choices as asked for, each node once', () => {
    const candidates = Array.from({ length: 9 }, (_, i) => node(`n${i}`));
    const chosen = names(request({ count: 4 }), candidates);
    assert.equal(new Set(chosen).size, 4);
  });

  const anyCandidate = fc.record({
    region: fc.constantFrom('north', 'south', 'east'),
    roles: fc.subarray<Role>(['push', 'pull', 'relay'], { minLength: 1 }),
    connected: fc.boolean(),
    reportAgeMs: fc.option(fc.integer({ min: 0, max: 8000 }), { nil: undefined }),
    cordoned: fc.boolean(),
    draining: fc.boolean(),
    https: fc.boolean(),
    carries: fc.boolean(),
    pending: fc.nat(20),
    load: fc
      .record({ cpuPercent: fc.integer({ min: 0, max: 100 }), egressMbps: fc.nat(1200), sessions: fc.nat(110) })
      .map((load) => ({ ...IDLE, ...load })),
  });
  const anyRequest = fc.record({
    kind: fc.constantFrom('push' as const, 'pull' as const),
    region: fc.option(fc.constantFrom('north', 'mars'), { nil: undefined }),
    group: fc.option(fc.constantFrom('g1', 'g2'), { nil: undefined }),
    allowedRegions: fc.option(fc.subarray(['north', 'south', 'east']), { nil: undefined }),
    exclude: fc.subarray(['n0', 'n1', 'n2']).map((excluded) => new Set(excluded)),
  });

  test('never returns a node that is not eligible, and returns one whenever one is', () => {
    fc.assert(
      fc.property(fc.array(anyCandidate, { maxLength: 12 }), anyRequest, fc.nat(), (made, wanted, seed) => {
        const candidates = made.map((one, i) => node(`n${i}`, one));
        const may = (one: Candidate): boolean =>
          one.roles.includes(wanted.kind) &&
          !wanted.exclude.has(one.node) &&
          (!wanted.allowedRegions || wanted.allowedRegions.includes(one.region)) &&
          one.connected &&
          !one.cordoned &&
          !one.draining &&
          one.reportAgeMs !== undefined &&
          one.reportAgeMs <= 5000 &&
          one.load!.cpuPercent <= 90 &&
          one.load!.sessions + one.pending < 100 &&
          one.load!.egressMbps < 1000;
        const result = schedule(request(wanted), candidates, seededRandom(seed));
        const allowed = candidates.filter(may);
        if (!result.ok) return assert.deepEqual([allowed.length, result.reasons.length], [0, candidates.length]);
        assert.equal(result.choices.length, Math.min(4, allowed.length));
        assert.equal(new Set(result.choices).size, result.choices.length);
        for (const choice of result.choices) assert.ok(may(choice), JSON.stringify(choice));
      }),
    );
  });

  test('equal input and seed give equal output', () => {
    fc.assert(
      fc.property(fc.array(anyCandidate, { maxLength: 12 }), anyRequest, fc.nat(), (made, wanted, seed) => {
        const candidates = made.map((one, i) => node(`n${i}`, one));
        assert.deepEqual(
          schedule(request(wanted), candidates, seededRandom(seed)),
          schedule(request(wanted), candidates, seededRandom(seed)),
        );
      }),
    );
  });
});

describe('the region of a client address', () => {
  const regions = new ClientRegions({
    '10.0.0.0/8': { region: 'north' },
    '10.1.0.0/16': { region: 'south', isp: 'two' },
    '2001:db8::/32': { isp: 'six' },
  });
  const cases: [string, object | undefined][] = [
    ['10.2.3.4', { region: 'north' }],
    ['10.1.3.4', { region: 'south', isp: 'two' }],
    ['::ffff:10.1.3.4', { region: 'south', isp: 'two' }],
    ['2001:db8::1', { isp: 'six' }],
    ['192.0.2.1', undefined],
    ['nonsense', undefined],
  ];
  for (const [address, expected] of cases)
    test(`${address} → ${JSON.stringify(expected)}`, () => assert.deepEqual(regions.find(address), expected));

  for (const cidr of ['10.0.0.0', '10.0.0.0/33', 'x/8', '10.0.0.0/-1', '']) {
    test(`"${cidr}" is refused by name`, () => assert.throws(() => new ClientRegions({ [cidr]: {} }), RangeError));
  }
});
