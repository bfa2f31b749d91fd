import type { Link, Relay } from './graph.ts';

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

/** The mesh's weights as a path policy wants them. */
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
 * @param sender the relay that sends media over the link (the one nearer to the origin).
 */
export function hopCostMs(link: Link, sender: Relay, weights: CostWeights): number {
  return (
    HOP_COST_MS +
    link.rttMs / 2 +
    weights.jitter * link.jitterMs +
    weights.lossMsPerPercent * link.lossPercent +
    weights.utilizationMsPerPercent * Math.max(0, sender.utilizationPercent - FREE_UTILIZATION_PERCENT) +
    weights.priceMsPerCent * sender.priceCentsPerGb
  );
}
