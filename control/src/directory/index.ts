/**
 * The stream directory: which node is the origin of which stream. A name has at most one publisher; each new publisher of a name gets a new
 * epoch. A node's heartbeat renews the lease of all that it publishes. Two implementations satisfy contract.ts: in memory and in Redis.
 */
export type { DirectoryChange, NodePresence, StreamDirectory, StreamEntry } from './directory.ts';
export { MemoryDirectory } from './memory.ts';
export { RedisDirectory } from './redis.ts';
