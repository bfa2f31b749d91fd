import type { ControllerContext } from './context.ts';
import { expireEvents } from './event-expiry.ts';
import { startGarbageCollector } from './garbage-collector.ts';
import { startNamespaceController } from './namespaces.ts';

/** Starts what a cluster's controller manager would do for the kinds served here; the returned function stops it. */
export async function startControllers(context: ControllerContext): Promise<() => void> {
  const stops = [await startNamespaceController(context), startGarbageCollector(context), expireEvents(context)];
  return () => {
    for (const stop of stops) stop();
  };
}
