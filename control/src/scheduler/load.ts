import type { ExclusionReason, NodeLoad } from '@millrace/api';

/** Above this load a node takes no more sessions: the rest is headroom for keyframes and bursts. */
const CPU_FULL_PERCENT = 90;
/** Maximum age of a report, ms. Nodes report every second; an older report says nothing about the present. */
export const REPORT_STALE_MS = 5000;

export interface Loaded {
  load: NodeLoad;
  capacity: { sessions: number; egressMbps: number };
  /** Sessions placed here since the report. */
  pending: number;
}

/** Load of a node's scarcest resource: 0 idle, 1 full. Each placement since the report counts as a session. */
export function loadOf({ load, capacity, pending }: Loaded): number {
  const perSessionMbps = load.sessions > 0 ? load.egressMbps / load.sessions : 0;
  return Math.max(
    load.cpuPercent / CPU_FULL_PERCENT,
    ratio(load.sessions + pending, capacity.sessions),
    ratio(load.egressMbps + pending * perSessionMbps, capacity.egressMbps),
  );
}

/** Why a node cannot take another session; undefined when it can. */
export function fullness({ load, capacity, pending }: Loaded): ExclusionReason | undefined {
  if (load.sessions + pending >= capacity.sessions) return 'SessionsFull';
  if (load.egressMbps >= capacity.egressMbps) return 'EgressFull';
  if (load.cpuPercent > CPU_FULL_PERCENT) return 'CpuFull';
  return undefined;
}

function ratio(used: number, of: number): number {
  return of > 0 ? used / of : 1;
}
