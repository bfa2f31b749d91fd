/** Chooses the region and the node for a publisher or viewer, and the alternatives. */
export { schedule, type Candidate } from './schedule.ts';
export { loadOf, fullness, REPORT_STALE_MS } from './load.ts';
export { ClientRegions, type ClientRegion } from './client-regions.ts';
