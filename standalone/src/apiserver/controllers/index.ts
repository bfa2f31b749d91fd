import type { Logger } from '@millrace/service';
import type { Registry } from '../registry.ts';
import type { Store } from '../storage/store.ts';
import type { Writer } from '../write/writer.ts';
import { expireEvents } from './event-expiry.ts';
import { startGarbageCollector } from './garbage-collector.ts';
import { startNamespaceController } from './namespaces.ts';

export interface ControllerContext {
  store: Store;
  registry: Registry;
  writer: Writer;
  wall: () => number;
  logger: Logger;
}

/** Starts what a cluster's controller manager would do for the kinds served here; the returned function stops it. */
export async function startControllers(context: ControllerContext): Promise<() => void> {
  const stops = [await startNamespaceController(context), startGarbageCollector(context), expireEvents(context)];
  return () => {
    for (const stop of stops) stop();
  };
}
