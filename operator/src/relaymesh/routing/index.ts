/**
 * Route computation: measured links → judged links → graph → disjoint paths → hysteresis.
 * Pure: time is passed in, equal input gives equal output.
 */
export { buildGraph, linkKey } from './graph.ts';
export type { Graph, LinkQuality } from './graph.ts';
export { judgeLinks } from './links.ts';
export type { JudgedLink, LinkReport } from './links.ts';
export { UNKNOWN_UTILIZATION_PERCENT, weightsFor } from './cost.ts';
export type { CostWeights, PathPolicy } from './cost.ts';
export { disjointPaths, measurePath, satisfies } from './paths.ts';
export type { Path, PathQuery } from './paths.ts';
export { choosePath, EVALUATION_WINDOW_MS } from './hysteresis.ts';
export type { Challenge, Hysteresis } from './hysteresis.ts';
