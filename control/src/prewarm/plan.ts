import { createHash } from 'node:crypto';
import { REPORT_STALE_MS, fullness, loadOf, type Candidate } from '../scheduler/index.ts';

/** Number of holders in a region: when one dies, another is warm. */
const HOLDERS_PER_REGION = 2;

/** Loads within one step count as equal, so that replicas with slightly different reports choose alike. */
const LOAD_STEPS = 4;

/**
 * Chooses the nodes of one region that hold a stream without a viewer. Present holders stay while they are alive; then come nodes that carry
 * the stream already, then the least loaded.
 */
export function chooseHolders(request: {
  stream: string;
  candidates: readonly Candidate[];
  /** Whether the node carries the stream, according to its report. */
  carriers: { has(node: string): boolean };
  current: ReadonlySet<string>;
}): string[] {
  const { stream, candidates, carriers, current } = request;
  const able = candidates.filter(isAble);
  const kept = able.filter(({ node }) => current.has(node));
  const fresh = able.filter((candidate) => !current.has(candidate.node) && hasRoom(candidate));
  const keyOf = (candidate: Candidate): [number, number, string] => [
    carriers.has(candidate.node) ? 0 : 1,
    Math.floor(loadOf({ ...candidate, load: candidate.load! }) * LOAD_STEPS),
    createHash('sha256').update(`${stream}\0${candidate.node}`).digest('hex'),
  ];
  const ordered = fresh
    .map((candidate) => ({ node: candidate.node, key: keyOf(candidate) }))
    .sort((a, b) => compare(a.key, b.key));
  return [...kept, ...ordered].slice(0, HOLDERS_PER_REGION).map(({ node }) => node);
}

function isAble({ roles, connected, cordoned, draining }: Candidate): boolean {
  return roles.includes('pull') && connected && !cordoned && !draining;
}

function hasRoom({ load, reportAgeMs, capacity, pending }: Candidate): boolean {
  if (!load || reportAgeMs === undefined || reportAgeMs > REPORT_STALE_MS) return false;
  return fullness({ load, capacity, pending }) === undefined;
}

function compare(a: readonly (number | string)[], b: readonly (number | string)[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  return 0;
}
