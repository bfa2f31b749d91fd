import { createHash } from 'node:crypto';
import { REPORT_STALE_MS, fullness, loadOf, type Candidate } from '../scheduler/index.ts';

/** One that dies leaves one that is warm. */
const HOLDERS_PER_REGION = 2;

/** Loads within such a step count as equal, so that replicas that saw reports a moment apart choose alike. */
const LOAD_STEPS = 4;

/**
 * Which nodes of one region hold a stream without a viewer. Those that do go on while they live; then nodes that carry it already, then the
 * least loaded.
 */
export function chooseHolders(request: {
  stream: string;
  candidates: readonly Candidate[];
  /** Who carries the stream, by report. */
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
