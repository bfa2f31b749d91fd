import type { ControllerContext } from './context.ts';

const keepMs = 3_600_000;
const sweepMs = 60_000;

/** Removes Events an hour after their last change, as kube-apiserver does by default (--event-ttl). */
export function expireEvents({ store, wall, logger }: ControllerContext): () => void {
  const sweep = () => {
    for (const event of store.list('/events')) {
      const changed = event.metadata.managedFields?.at(-1)?.time ?? event.metadata.creationTimestamp;
      if (wall() - Date.parse(changed) > keepMs)
        store.remove('/events', event).catch((error: unknown) => logger.warn({ err: error }, 'cannot expire an event'));
    }
  };
  const timer = setInterval(sweep, sweepMs);
  return () => clearInterval(timer);
}
