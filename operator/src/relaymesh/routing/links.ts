import type { Link, LinkQuality } from './graph.ts';
import { linkKey } from './graph.ts';

type LinkState = 'Up' | 'Degraded' | 'Down';

/** What one end of a trunk reports. */
export interface LinkReport {
  readonly from: string;
  readonly to: string;
  readonly state: LinkState;
  readonly rttMs: number;
  /** Measured on packets that `from` receives. */
  readonly jitterMs: number;
  /** Measured on packets that `from` sends. */
  readonly lossPercent: number;
  /** Whether the reporting node is connected to control now; otherwise this is its last known report. */
  readonly fresh: boolean;
}

export interface JudgedLink extends Link {
  readonly state: LinkState;
}

/**
 * Judges each trunk from the reports of its two ends.
 * A fresh end that reports the trunk down is believed, since media needs both directions. When neither end is fresh, the last known state is
 * kept, since losing the control plane says nothing about the trunk.
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
 * The direction in which `sender` sends: loss as the sender counts it, jitter as the receiver measures it. A value that only the other end
 * reports is taken from there, so that an unmeasured direction never looks better than a measured one. The longer of the two RTTs counts.
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
