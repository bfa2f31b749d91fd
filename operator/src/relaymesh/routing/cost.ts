import type { LinkQuality, Relay } from './graph.ts';

/** Weights of the path cost, from RelayMesh.spec.routing.weights. Each turns its term into milliseconds. */
export interface CostWeights {
  /** ms of cost for 1 ms of jitter. */
  readonly jitter: number;
  /** ms of cost for 1 percent of loss. */
  readonly lossMsPerPercent: number;
  /** ms of cost for each percent of the sender's utilisation above 80. */
  readonly utilizationMsPerPercent: number;
  /** ms of cost for one cent per GB paid to send over the link. */
  readonly priceMsPerCent: number;
}

export type PathPolicy = 'LowestLatency' | 'LowestCost' | 'Balanced';

/** A forwarding hop costs a little by itself, so that of two equal paths the shorter one wins. */
export const HOP_COST_MS = 0.5;

/** With LowestCost one cent a GB weighs as much as this many ms: price decides, latency breaks ties. */
const PRICE_DECIDES_MS_PER_CENT = 1_000;

const FREE_UTILIZATION_PERCENT = 80;

/**
 * Utilisation assumed for a relay of unknown load: the middle of the range that costs something. A relay that is known to have room wins
 * over it, and it wins over a relay that is known to be full.
 */
export const UNKNOWN_UTILIZATION_PERCENT = 90;

/** The mesh's weights, adjusted to a path policy. */
export function weightsFor(policy: PathPolicy, weights: CostWeights): CostWeights {
  switch (policy) {
    case 'LowestLatency':
      return { ...weights, priceMsPerCent: 0 };
    case 'LowestCost':
      return { ...weights, priceMsPerCent: PRICE_DECIDES_MS_PER_CENT };
    case 'Balanced':
      return weights;
  }
}

/**
 * Cost of one hop in ms: RTT/2 plus the weighted jitter, loss, utilisation above 80 % and the sender's price.
 * @param quality of the direction in which media flows over the link.
 * @param sender the relay that sends media over the link (the one nearer to the origin).
 */
export function hopCostMs(quality: LinkQuality, sender: Relay, weights: CostWeights): number {
  const utilizationPercent = sender.utilizationPercent ?? UNKNOWN_UTILIZATION_PERCENT;
  return (
    HOP_COST_MS +
    quality.rttMs / 2 +
    weights.jitter * quality.jitterMs +
    weights.lossMsPerPercent * quality.lossPercent +
    weights.utilizationMsPerPercent * Math.max(0, utilizationPercent - FREE_UTILIZATION_PERCENT) +
    weights.priceMsPerCent * sender.priceCentsPerGb
  );
}
