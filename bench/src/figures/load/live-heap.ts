// Preloaded (NODE_OPTIONS=--import) into each process and thread of the network. It runs a full garbage collection periodically and records
// the live heap, because V8 does not collect in an idle process for minutes. The folder is in the module's query: `?folder=/…`.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import v8 from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';

/** The live heap of one thread after a full collection, in bytes. `external` includes buffers. */
export interface LiveHeap {
  readonly atMs: number;
  readonly heapUsed: number;
  /** The part that is compiled code and bytecode. It grows while V8 compiles, so it does not indicate a leak. */
  readonly code: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** The number of active resources, such as timers and sockets. */
  readonly resources: number;
  /** The size of the young generation. V8 doubles it when many objects survive; memory that it releases stays resident. */
  readonly young: number;
}

/** With all threads of all processes, this is about one collection per second; more would be a significant load. */
const EVERY_MS = 20_000;

const folder = new URL(import.meta.url).searchParams.get('folder');
if (folder) {
  v8.setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const file = join(folder, `${process.pid}-${threadId}.jsonl`);
  const look = (): void => {
    setTimeout(look, EVERY_MS).unref();
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    const young = v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
    const { code_and_metadata_size, bytecode_and_metadata_size } = v8.getHeapCodeStatistics();
    const code = code_and_metadata_size + bytecode_and_metadata_size;
    const resources = process.getActiveResourcesInfo().length;
    const live: LiveHeap = { atMs: Date.now(), heapUsed, code, external, arrayBuffers, resources, young };
    appendFileSync(file, `${JSON.stringify(live)}\n`);
  };
  // A random start spreads the collections of all threads over time.
  setTimeout(look, EVERY_MS * Math.random()).unref();
}
