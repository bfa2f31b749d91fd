import type { Link, LinkQuality } from './graph.ts';
import { linkKey } from './graph.ts';

type LinkState = 'Up' | 'Degraded' | 'Down';

/** What one end of a trunk says of it. */
export interface LinkReport {
  readonly from: string;
  readonly to: string;
  readonly state: LinkState;
  readonly rttMs: number;
  /** Of what `from` receives. */
  readonly jitterMs: number;
  /** Of what `from` sends. */
  readonly lossPercent: number;
  /** Whether the reporting node is connected to control now; otherwise this is the last that was known. */
  readonly fresh: boolean;
}

export interface JudgedLink extends Link {
  readonly state: LinkState;
}

/**
 * One judgement for each trunk from what its two ends say.
 * A fresh end that calls it down is believed: media needs both directions. Where neither end is fresh, what was known is frozen,
 * since a silent control plane says nothing about the trunk.
 */
export function judgeLinks(reports: readonly LinkReport[]): JudgedLink[] {
  const pairs = new Map<string, LinkReport[]>();
  for (const report of reports) {
    if (report.from === report.to) continue;
    const key = linkKey(report.from, report.to);
    const ends = pairs.get(key);
    if (ends) ends.push(report);
    else pairs.set(key, [report]);
  }
  return [...pairs.entries()].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, ends]) => judge(ends));
}

function judge(ends: readonly LinkReport[]): JudgedLink {
  const fresh = ends.filter((end) => end.fresh);
  const believed = fresh.length > 0 ? fresh : ends;
  const states = believed.map((end) => end.state);
  const measuring = believed.filter((end) => end.state !== 'Down');
  const values = measuring.length > 0 ? measuring : believed;
  const [a, b] = [(ends[0] as LinkReport).from, (ends[0] as LinkReport).to].sort() as [string, string];
  return {
    a,
    b,
    state: states.includes('Down') ? 'Down' : states.includes('Degraded') ? 'Degraded' : 'Up',
    toB: directionFrom(a, values),
    toA: directionFrom(b, values),
  };
}

/**
 * The direction in which `sender` sends: loss as the sender counts it, jitter as the receiver sees it. What only the other end tells is
 * taken from there, so that a direction without a measurement is never better than the one with it. The longer of two round trips counts.
 */
function directionFrom(sender: string, values: readonly LinkReport[]): LinkQuality {
  const ofSender = values.find((end) => end.from === sender);
  const ofReceiver = values.find((end) => end.from !== sender);
  return {
    rttMs: Math.max(...values.map((end) => end.rttMs)),
    jitterMs: (ofReceiver ?? ofSender)?.jitterMs ?? 0,
    lossPercent: (ofSender ?? ofReceiver)?.lossPercent ?? 0,
  };
}
