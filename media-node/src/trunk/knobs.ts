import type { ArqKnobs } from './arq/arq.ts';
import type { LivenessKnobs } from './liveness/liveness.ts';
import type { Sensitivity } from './liveness/verdict.ts';

/** What a RelayMesh says about its trunks; names as in its spec.transport, spec.probe and spec.routing.fastReroute. */
export interface TrunkKnobs {
  kcp: ArqKnobs;
  fec: { mode: 'Off' } | { mode: 'Fixed'; dataShards: number; parityShards: number };
  rateCapMbps: number;
  probeIntervalMs: number;
  fastReroute: { heartbeatMs: number; sensitivity: Sensitivity };
}

export const DEFAULT_KNOBS: TrunkKnobs = {
  kcp: { intervalMs: 10, fastResend: 2, sendWindow: 1024, receiveWindow: 1024, deadlineMs: 600 },
  fec: { mode: 'Off' },
  rateCapMbps: 1000,
  probeIntervalMs: 1000,
  fastReroute: { heartbeatMs: 40, sensitivity: 'Medium' },
};

export function livenessKnobs(knobs: TrunkKnobs): LivenessKnobs {
  return { ...knobs.fastReroute, probeIntervalMs: knobs.probeIntervalMs };
}
