// Media on this node: the media workers and their ports (cores), streams published here (origin) and served here (distribution), and the hub that owns both.
export { LISTEN_ON_LOOPBACK, listenInfo, MediaCores, type MediaCore } from './cores.ts';
export { StreamHub, type PublishedStream } from './hub.ts';
export type { Origin } from './origin.ts';
export type { StreamDirectory } from './stream-directory.ts';
export { type Ending } from './ending.ts';
export { Distribution } from './distribution.ts';
export { Viewer } from './viewer.ts';
export { allowedCpuList, parseCpuList } from './affinity.ts';
