import type { Logger } from '@millrace/service';
import type { Registry } from '../registry.ts';
import type { Store } from '../storage/store.ts';
import type { Writer } from '../write/writer.ts';
import type { Retries } from './retries.ts';

/** What the controllers work with. */
export interface ControllerContext {
  store: Store;
  registry: Registry;
  writer: Writer;
  wall: () => number;
  logger: Logger;
  retries: Retries;
}
