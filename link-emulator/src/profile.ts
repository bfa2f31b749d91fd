/** The properties of one direction of a link. Shares are 0 to 1. */
export interface LinkProfile {
  delayMs: number;
  /** The maximum additional delay of a datagram, uniformly distributed. */
  jitterMs: number;
  /** The time in which the autocorrelation of the jitter falls to 1/e. 0: the jitter of each datagram is independent. */
  jitterCorrelationMs: number;
  /** Whether datagrams keep their order, as in a queue, except for `reordering`. If false, jitter reorders them. */
  keepsOrder: boolean;
  /** The share of datagrams lost independently of each other. */
  loss: number;
  /** The share lost in bursts in addition (Gilbert 1960, Elliott 1963: a good state, and a bad one that loses everything). */
  burstLoss: number;
  /** The mean length of those bursts, in datagrams. */
  burstLength: number;
  /** The share delayed by `reorderingMs`, so that later datagrams overtake it. */
  reordering: number;
  reorderingMs: number;
  duplication: number;
  /** The share delivered with one bit flipped. */
  corruption: number;
  /** The bit rate of IP packets: 28 bytes for IPv4 and UDP are added to each datagram. */
  rateKbps: number;
  /** The bounds of the rate limit's queue in time and bytes. Datagrams beyond them are dropped on arrival. */
  queueMs: number;
  queueBytes: number;
  /** Larger IP packets are dropped silently, as on a path that filters ICMP. 28 bytes are added to each datagram. */
  mtuBytes: number;
  /** Whether this direction drops every datagram. */
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

/** Returns the first error of the profile, with the name of the field; undefined when the profile is valid. */
export function profileError(profile: LinkProfile): string | undefined {
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
  // Otherwise the probability of entering the bad state would exceed 1.
  const maxLoss = profile.burstLength / (profile.burstLength + 1);
  if (profile.burstLoss > maxLoss) {
    return `burstLoss is ${profile.burstLoss}: with burstLength ${profile.burstLength} must be at most ${maxLoss.toFixed(2)}; increase burstLength`;
  }
  return undefined;
}
