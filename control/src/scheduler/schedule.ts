import { createHash } from 'node:crypto';
import type { ExclusionReason, NodeLoad, NodeReason, Role } from '@millrace/api';
import { REPORT_STALE_MS, fullness, loadOf } from './load.ts';

/** A media node as the scheduler sees it. */
export interface Candidate {
  node: string;
  region: string;
  isp?: string | undefined;
  roles: readonly Role[];
  connected: boolean;
  /** Since its last report, by control's clock; absent: it has not reported yet. */
  reportAgeMs?: number | undefined;
  load?: NodeLoad | undefined;
  capacity: { sessions: number; egressMbps: number };
  /** Placements since the last report. */
  pending: number;
  cordoned: boolean;
  draining: boolean;
  /** Whether its signalling is by HTTPS. */
  https: boolean;
  /** Whether it already carries the requested stream, so that another viewer costs nothing upstream. */
  carries: boolean;
}

export interface ScheduleRequest {
  kind: 'push' | 'pull';
  stream: string;
  /** The client's region; absent: unknown. */
  region?: string | undefined;
  isp?: string | undefined;
  group?: string | undefined;
  exclude: ReadonlySet<string>;
  /** The client came by HTTPS, so that its token must not go on by plain HTTP. */
  httpsOnly?: boolean | undefined;
  /** Regions that the StreamRoute allows; absent: all. */
  allowedRegions?: readonly string[] | undefined;
  /** RTT measured between regions; absent where there is no measurement. */
  rttMs: (from: string, to: string) => number | undefined;
  /** Maximum number of nodes to return: the choice and its alternatives. */
  count: number;
}

export type Schedule = { ok: true; choices: Candidate[] } | { ok: false; reasons: NodeReason[] };

/** Load up to which a node counts as having room: group affinity and carriers take precedence only up to here. */
const ROOMY = 0.75;
/** Maximum number of nodes named in a problem document. */
const MAX_REASONS = 64;

/**
 * Orders the nodes that may take the request: nearest region first; within it group affinity, then nodes that already carry the stream, then
 * the less loaded of two random nodes (Mitzenmacher 2001, "The power of two choices"). When no node fits, returns the reason for each node.
 */
export function schedule(request: ScheduleRequest, candidates: readonly Candidate[], random: () => number): Schedule {
  const fit: Candidate[] = [];
  const reasons: NodeReason[] = [];
  for (const candidate of candidates) {
    const reason = exclusionOf(request, candidate);
    if (!reason) fit.push(candidate);
    else if (reasons.length < MAX_REASONS) reasons.push({ node: candidate.node, reason });
  }
  if (fit.length === 0) return { ok: false, reasons };

  const choices: Candidate[] = [];
  for (const region of orderRegions(request, fit)) {
    const left = new Set(fit.filter((candidate) => candidate.region === region));
    while (left.size > 0 && choices.length < request.count) {
      const next = choose(request, [...left], random);
      left.delete(next);
      choices.push(next);
    }
    if (choices.length >= request.count) break;
  }
  return { ok: true, choices };
}

function exclusionOf(request: ScheduleRequest, candidate: Candidate): ExclusionReason | undefined {
  if (!candidate.roles.includes(request.kind)) return 'WrongRole';
  if (request.allowedRegions && !request.allowedRegions.includes(candidate.region)) return 'RegionNotAllowed';
  if (request.exclude.has(candidate.node)) return 'Excluded';
  if (request.httpsOnly && !candidate.https) return 'NoHttps';
  if (candidate.cordoned) return 'Cordoned';
  if (candidate.draining) return 'Draining';
  if (!candidate.connected) return 'Disconnected';
  const { load, reportAgeMs, capacity, pending } = candidate;
  if (!load || reportAgeMs === undefined || reportAgeMs > REPORT_STALE_MS) return 'StaleReport';
  return fullness({ load, capacity, pending });
}

/** Order: the client's own region, then by RTT from it, then its ISP, then the emptiest. When its region is unknown: its ISP, then the emptiest. */
function orderRegions(request: ScheduleRequest, fit: readonly Candidate[]): string[] {
  const regions = new Map<string, { least: number; isp: boolean }>();
  for (const candidate of fit) {
    const seen = regions.get(candidate.region);
    const load = scoreOf(candidate);
    const isp = request.isp !== undefined && candidate.isp === request.isp;
    regions.set(candidate.region, { least: Math.min(load, seen?.least ?? Infinity), isp: isp || (seen?.isp ?? false) });
  }
  const keyOf = (region: string): [number, number, number] => {
    const { least, isp } = regions.get(region)!;
    const rttMs =
      request.region === undefined ? undefined : request.region === region ? -1 : request.rttMs(request.region, region);
    return [rttMs ?? Infinity, isp ? 0 : 1, least];
  };
  return [...regions.keys()].sort((a, b) => compareKeys(keyOf(a), keyOf(b)) || (a < b ? -1 : 1));
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  return 0;
}

function choose(request: ScheduleRequest, inRegion: readonly Candidate[], random: () => number): Candidate {
  const sameIsp = request.isp === undefined ? [] : inRegion.filter((candidate) => candidate.isp === request.isp);
  const pool = sameIsp.length > 0 ? sameIsp : inRegion;
  const roomy = pool.filter((candidate) => scoreOf(candidate) < ROOMY);
  if (request.group !== undefined && roomy.length > 0) return rendezvous(request.group, roomy);
  const carriers = request.kind === 'pull' ? roomy.filter((candidate) => candidate.carries) : [];
  return lessLoadedOfTwo(carriers.length > 0 ? carriers : pool, random);
}

function scoreOf({ load, capacity, pending }: Candidate): number {
  return load ? loadOf({ load, capacity, pending }) : 1;
}

function lessLoadedOfTwo(pool: readonly Candidate[], random: () => number): Candidate {
  const first = Math.floor(random() * pool.length);
  // The second draw excludes the first, so that of two nodes the emptier is always chosen.
  const second = pool.length === 1 ? first : (first + 1 + Math.floor(random() * (pool.length - 1))) % pool.length;
  const [a, b] = [pool[first]!, pool[second]!];
  return scoreOf(b) < scoreOf(a) ? b : a;
}

/** Highest random weight (Thaler and Ravishankar 1998): a group moves only when its node leaves or is full. */
function rendezvous(group: string, pool: readonly Candidate[]): Candidate {
  let best = pool[0]!;
  let bestWeight = '';
  for (const candidate of pool) {
    const weight = createHash('sha256').update(`${group}\0${candidate.node}`).digest('hex');
    if (weight > bestWeight) [best, bestWeight] = [candidate, weight];
  }
  return best;
}
