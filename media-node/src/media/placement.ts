import { createHash } from 'node:crypto';

/**
 * The media core of a publisher or a stream's viewers: equal keys share a core, so members of a group meet in one worker's memory.
 * @param key group, else user, else stream
 */
export function coreOf(key: string, cores: number): number {
  return createHash('sha256').update(key).digest().readUInt32BE(0) % cores;
}

/** Viewers that one core serves of a stream before its neighbours help. */
const VIEWERS_PER_CORE = 400;

/**
 * The core for one more viewer: the stream's own while it has room, then the next ones in order, then the least loaded.
 * @param viewers of this stream, by core
 */
export function viewerCore(stream: string, viewers: readonly number[], room = VIEWERS_PER_CORE): number {
  const first = coreOf(stream, viewers.length);
  const order = viewers.map((_, step) => (first + step) % viewers.length);
  return (
    order.find((core) => viewers[core]! < room) ?? order.reduce((best, core) => (viewers[core]! < viewers[best]! ? core : best))
  );
}
