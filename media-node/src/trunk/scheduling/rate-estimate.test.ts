import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LinkModel, type LinkProfile } from '@millrace/link-emulator';
import { seededRandom } from '@millrace/service';
import { RateEstimate } from './rate-estimate.ts';

const BYTES = 1000;

interface Sight {
  atMs: number;
  limitKbps: number;
  waitMs: number;
}

/**
 * Sends `offeredKbps` over a link, at most what the estimate allows, for so many seconds; acknowledgements come back 40 ms later. Of each datagram
 * `segments` bytes are acknowledged; the rest is headers and parity.
 */
function send(
  estimate: RateEstimate,
  link: LinkModel,
  offeredKbps: number,
  seconds: number,
  { fromMs = 0, segments = BYTES } = {},
): Sight[] {
  const acks: { atMs: number; sentMs: number }[] = [];
  const sights: Sight[] = [];
  let [tokens, nowMs] = [0, fromMs];
  for (; nowMs < fromMs + seconds * 1000; nowMs++) {
    tokens = Math.min(5 * BYTES, tokens + Math.min(offeredKbps / 8, estimate.bytesPerMs));
    for (; tokens >= BYTES; tokens -= BYTES) {
      estimate.sent(BYTES, segments);
      for (const { atMs } of link.offer(BYTES, nowMs)) acks.push({ atMs: atMs + 40, sentMs: nowMs });
    }
    acks.sort((a, b) => a.atMs - b.atMs);
    while (acks[0] && acks[0].atMs <= nowMs) {
      const { atMs, sentMs } = acks.shift()!;
      estimate.acked(segments);
      estimate.rtt(atMs - sentMs, nowMs);
    }
    estimate.update(nowMs);
    if (nowMs % 100 === 0) sights.push({ atMs: nowMs, limitKbps: estimate.bytesPerMs * 8, waitMs: link.waitMs(nowMs) });
  }
  return sights;
}

const link = (profile: Partial<LinkProfile>): LinkModel => new LinkModel({ delayMs: 40, ...profile }, seededRandom(1));
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('What a way carries', () => {
  test('is without limit while no queue builds up, whatever the way loses or how it swings', () => {
    for (const profile of [
      {},
      { loss: 0.3 },
      { jitterMs: 40 },
      { jitterMs: 120 },
      { jitterMs: 80, keepsOrder: false },
      { rateKbps: 4_000 },
    ]) {
      const sights = send(new RateEstimate(), link(profile), 3_000, 30);
      assert.ok(
        sights.every(({ limitKbps }) => limitKbps === Infinity),
        JSON.stringify(profile),
      );
    }
  });

  test('is found within seconds, used nearly whole, and its queue stays short', () => {
    for (const [queueMs, segments] of [
      [150, BYTES],
      [1_000, BYTES],
      [1_000, 0.7 * BYTES],
    ] as const) {
      const narrow = link({ rateKbps: 2_000, queueMs });
      const settled = send(new RateEstimate(), narrow, 3_000, 40, { segments }).filter(({ atMs }) => atMs > 3_000);
      const used = ((narrow.counters.deliveredBytes + narrow.counters.delivered * 28) * 8) / 40 / 2_000_000;
      assert.ok(used > 0.85, `${used} of the rate was used`);
      assert.ok(mean(settled.map(({ waitMs }) => waitMs)) < 80, `queue of ${mean(settled.map(({ waitMs }) => waitMs))} ms`);
      assert.ok(Math.max(...settled.map(({ waitMs }) => waitMs)) < 250);
      assert.ok(narrow.counters.queueFull < 0.02 * narrow.counters.offered, `${narrow.counters.queueFull} dropped by the way`);
    }
  });

  test('is found though a burst filled its queue before a first acknowledgement could tell', () => {
    const narrow = link({ rateKbps: 2_000, queueMs: 1_000 });
    const estimate = new RateEstimate();
    send(estimate, narrow, 14_000, 0.1);
    const sights = send(estimate, narrow, 3_000, 20, { fromMs: 100 }).filter(({ atMs }) => atMs > 4_000);
    assert.ok(Math.max(...sights.map(({ waitMs }) => waitMs)) < 250, JSON.stringify(sights.slice(0, 5)));
    assert.ok(mean(sights.map(({ limitKbps }) => limitKbps)) > 1_500);
  });

  test('is not taken for narrow when it gets longer', () => {
    const way = link({});
    const estimate = new RateEstimate();
    send(estimate, way, 3_000, 5);
    way.change({ delayMs: 140 }, 5_000);
    const sights = send(estimate, way, 3_000, 10, { fromMs: 5_000 });
    assert.ok(sights.filter(({ limitKbps }) => limitKbps < 3_000).length <= 5, 'but for one try');
    assert.equal(estimate.bytesPerMs, Infinity);
  });

  test('is given free again once the way is wide', () => {
    const way = link({ rateKbps: 1_000 });
    const estimate = new RateEstimate();
    send(estimate, way, 3_000, 20);
    assert.ok(estimate.bytesPerMs * 8 < 1_200);
    way.change({ rateKbps: 10_000 }, 20_000);
    const sights = send(estimate, way, 3_000, 20, { fromMs: 20_000 });
    const wideAtMs = sights.find(({ limitKbps }) => limitKbps >= 3_000)!.atMs;
    assert.ok(wideAtMs < 25_000, `after ${wideAtMs - 20_000} ms`);
    assert.equal(estimate.bytesPerMs, Infinity);
  });

  test('is shared by two who send over it', () => {
    const way = link({ rateKbps: 2_000 });
    const two = [new RateEstimate(), new RateEstimate()];
    const got = [0, 0];
    const acks: { atMs: number; sentMs: number; who: number }[] = [];
    const tokens = [0, 0];
    for (let nowMs = 0; nowMs < 60_000; nowMs++) {
      two.forEach((estimate, who) => {
        // The second comes 10 s late.
        if (who === 1 && nowMs < 10_000) return;
        tokens[who] = Math.min(5 * BYTES, tokens[who]! + Math.min(2_000 / 8, estimate.bytesPerMs));
        for (; tokens[who] >= BYTES; tokens[who] -= BYTES) {
          estimate.sent(BYTES, BYTES);
          for (const { atMs } of way.offer(BYTES, nowMs)) acks.push({ atMs: atMs + 40, sentMs: nowMs, who });
        }
      });
      while (acks[0] && acks[0].atMs <= nowMs) {
        const { atMs, sentMs, who } = acks.shift()!;
        two[who]!.acked(BYTES);
        two[who]!.rtt(atMs - sentMs, nowMs);
        if (nowMs > 20_000) got[who]! += BYTES;
      }
      for (const estimate of two) estimate.update(nowMs);
    }
    const share = got[0]! / (got[0]! + got[1]!);
    assert.ok(share > 0.25 && share < 0.75, `the first got ${share}`);
  });
});
