/**
 * The stream directory: who originates which stream. A name has at most one publisher; each new publisher of it is a new epoch.
 * A node's heartbeat is the lease of all that it publishes. Two implementations keep the contract of contract.ts: memory and Redis.
 */
export type { DirectoryChange, NodePresence, StreamDirectory, StreamEntry } from './directory.ts';
export { MemoryDirectory } from './memory.ts';
export { RedisDirectory } from './redis.ts';
