import type { Clock } from '@millrace/service';
import type { NodePresence } from '../directory/index.ts';

/** How long the RTTs are cached, ms: they hardly change, and reading all links for each placement is expensive. */
const KEEP_MS = 2000;

/** Lowest RTT between regions over the links that both of their nodes report. */
export class RegionRtts {
  readonly #clock: Clock;
  #rtts = new Map<string, number>();
  #madeAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  between(
    from: string,
    to: string,
    presences: Iterable<NodePresence>,
    regionOf: (node: string) => string | undefined,
  ): number | undefined {
    const now = this.#clock.now();
    if (this.#madeAt === undefined || now - this.#madeAt > KEEP_MS) {
      this.#rtts = measure(presences, regionOf);
      this.#madeAt = now;
    }
    return this.#rtts.get(pairOf(from, to));
  }
}

/** A link counts with the greater of what its two ends report, so that one node alone cannot bring two regions nearer to each other. */
function measure(presences: Iterable<NodePresence>, regionOf: (node: string) => string | undefined): Map<string, number> {
  const ofLink = new Map<string, { reporter: string; rttMs: number }>();
  const rtts = new Map<string, number>();
  for (const { node, report } of presences) {
    const here = regionOf(node);
    if (here === undefined) continue;
    for (const { peer, rttMs, state } of report?.links ?? []) {
      const there = regionOf(peer);
      if (there === undefined || there === here || state === 'Down') continue;
      const link = pairOf(node, peer);
      const other = ofLink.get(link);
      if (!other) ofLink.set(link, { reporter: node, rttMs });
      if (!other || other.reporter === node) continue;
      const pair = pairOf(here, there);
      rtts.set(pair, Math.min(Math.max(rttMs, other.rttMs), rtts.get(pair) ?? Infinity));
    }
  }
  return rtts;
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
