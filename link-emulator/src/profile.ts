/** What one direction of a link does to datagrams. Shares are 0 to 1. */
export interface LinkProfile {
  delayMs: number;
  /** Each datagram takes up to this much more, evenly distributed. */
  jitterMs: number;
  /** How long jitter stays alike: its correlation falls to 1/e in this time. 0: each datagram's is its own. */
  jitterCorrelationMs: number;
  /** As in a queue, no datagram overtakes another (but for `reordering`). Without it, jitter reorders. */
  keepsOrder: boolean;
  /** Share lost, each datagram by itself. */
  loss: number;
  /** Share lost in bursts beside that (Gilbert 1960, Elliott 1963: a good state, and a bad one that loses everything). */
  burstLoss: number;
  /** Mean length of those bursts, in datagrams. */
  burstLength: number;
  /** Share held back by `reorderingMs`, so that later ones overtake it. */
  reordering: number;
  reorderingMs: number;
  duplication: number;
  /** Share that comes with one bit wrong. */
  corruption: number;
  /** Of IP packets: 28 bytes for IPv4 and UDP are added to each datagram. */
  rateKbps: number;
  /** What waits for the rate: at most so long and so much. Beyond, datagrams are dropped as they come. */
  queueMs: number;
  queueBytes: number;
  /** IP packets above this size vanish without a word, as on a path whose routers' ICMP is filtered; 28 bytes are added to each datagram. */
  mtuBytes: number;
  /** Nothing goes through in this direction. */
  cut: boolean;
}

export const PERFECT_LINK: Readonly<LinkProfile> = {
  delayMs: 0,
  jitterMs: 0,
  jitterCorrelationMs: 0,
  keepsOrder: true,
  loss: 0,
  burstLoss: 0,
  burstLength: 3,
  reordering: 0,
  reorderingMs: 10,
  duplication: 0,
  corruption: 0,
  rateKbps: Infinity,
  queueMs: 200,
  queueBytes: Infinity,
  mtuBytes: Infinity,
  cut: false,
};

const SHARES = ['loss', 'burstLoss', 'reordering', 'duplication', 'corruption'] as const;
const SPANS = ['delayMs', 'jitterMs', 'jitterCorrelationMs', 'reorderingMs'] as const;

/** What is wrong with the profile, naming the field; undefined when it can be had. */
export function profileFault(profile: LinkProfile): string | undefined {
  for (const name of SHARES) {
    if (!(profile[name] >= 0 && profile[name] <= 1)) return `${name} is ${profile[name]}: must be 0 to 1 (0% to 100%)`;
  }
  for (const name of SPANS) {
    if (!(profile[name] >= 0 && profile[name] < Infinity)) return `${name} is ${profile[name]}: must be 0 or more`;
  }
  for (const name of ['rateKbps', 'queueMs', 'queueBytes', 'mtuBytes'] as const) {
    if (!(profile[name] > 0)) return `${name} is ${profile[name]}: must be more than 0`;
  }
  if (!(profile.burstLength >= 1 && profile.burstLength < Infinity)) {
    return `burstLength is ${profile.burstLength}: must be 1 datagram or more`;
  }
  // The way into the bad state would have to be likelier than certain.
  const most = profile.burstLength / (profile.burstLength + 1);
  if (profile.burstLoss > most) {
    return `burstLoss is ${profile.burstLoss}: bursts of ${profile.burstLength} on the average can take at most ${most.toFixed(2)}; make burstLength longer`;
  }
  return undefined;
}
