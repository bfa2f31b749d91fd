// Media on this node: workers and their ports (cores), streams published here (origin) and served here (distribution), and what joins them (hub).
export { MediaCores, type MediaCore } from './cores.ts';
export { StreamHub, type PublishedStream } from './hub.ts';
export type { StreamDirectory } from './stream-directory.ts';
export { WORKER_DIED, type Ending } from './ending.ts';
export { Origin } from './origin.ts';
export { Distribution, type TrackNumbering } from './distribution.ts';
export { Viewer, type LayerState } from './viewer.ts';
export { allowedCpuList, parseCpuList } from './affinity.ts';
export { planRoute, type RoutePlan } from './route-plan.ts';
