/** Where a publisher or a viewer goes: which region, which node in it, and which ones next. */
export { schedule, type Candidate } from './schedule.ts';
export { loadOf, fullness, REPORT_STALE_MS } from './load.ts';
export { ClientRegions, type ClientRegion } from './client-regions.ts';
