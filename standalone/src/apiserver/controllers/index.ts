import type { ControllerContext } from './context.ts';
import { expireEvents } from './event-expiry.ts';
import { startGarbageCollector } from './garbage-collector.ts';
import { startNamespaceController } from './namespaces.ts';

/** Starts the controllers that a cluster's controller manager runs for the kinds served here. Returns a function that stops them. */
export async function startControllers(context: ControllerContext): Promise<() => void> {
  const stops = [await startNamespaceController(context), startGarbageCollector(context), expireEvents(context)];
  return () => {
    for (const stop of stops) stop();
  };
}
