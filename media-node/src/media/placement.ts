import { createHash } from 'node:crypto';

/**
 * The media core of a publisher or of a stream's viewers. Equal keys share a core, so that all members of a group are in one worker.
 * @param key group, else user, else stream
 */
export function coreOf(key: string, cores: number): number {
  return createHash('sha256').update(key).digest().readUInt32BE(0) % cores;
}

/** How many viewers of a stream one core serves before the next core takes more. */
const VIEWERS_PER_CORE = 400;

/**
 * Chooses the core for one more viewer: the stream's own while it has room, then the following ones, then the least loaded.
 * @param viewers of this stream, by core
 */
export function viewerCore(stream: string, viewers: readonly number[], room = VIEWERS_PER_CORE): number {
  const first = coreOf(stream, viewers.length);
  const order = viewers.map((_, step) => (first + step) % viewers.length);
  return (
    order.find((core) => viewers[core]! < room) ?? order.reduce((best, core) => (viewers[core]! < viewers[best]! ? core : best))
  );
}
