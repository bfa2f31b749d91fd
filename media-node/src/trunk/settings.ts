import type { ArqSettings } from './arq/arq.ts';
import type { LivenessSettings } from './liveness/liveness.ts';
import type { Sensitivity } from './liveness/verdict.ts';

/** Trunk settings of a RelayMesh, named as in its spec.transport, spec.probe and spec.routing.fastReroute. */
export interface TrunkSettings {
  kcp: ArqSettings;
  fec: { mode: 'Off' } | { mode: 'Fixed'; dataShards: number; parityShards: number };
  rateCapMbps: number;
  probeIntervalMs: number;
  fastReroute: { heartbeatMs: number; sensitivity: Sensitivity };
}

export const DEFAULT_TRUNK_SETTINGS: TrunkSettings = {
  kcp: { intervalMs: 10, fastResend: 2, sendWindow: 1024, receiveWindow: 1024, deadlineMs: 600 },
  fec: { mode: 'Off' },
  rateCapMbps: 1000,
  probeIntervalMs: 1000,
  fastReroute: { heartbeatMs: 40, sensitivity: 'Medium' },
};

export function livenessSettings(settings: TrunkSettings): LivenessSettings {
  return { ...settings.fastReroute, probeIntervalMs: settings.probeIntervalMs };
}
