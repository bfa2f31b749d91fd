// Preloaded (NODE_OPTIONS=--import) into each process of the network and its threads: collects all garbage from time to time and writes
// down what is left, since V8 leaves an idle process' garbage alone for minutes. The folder is this module's query: `?folder=/…`.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import v8 from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';

/** Of one thread, right after a full collection. Bytes; `external` holds buffers too. */
export interface LiveHeap {
  readonly atMs: number;
  readonly heapUsed: number;
  /** Of it compiled code and bytecode: it grows for as long as V8 finds something to optimise, and says nothing of what the program holds. */
  readonly code: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** Timers, sockets and so on that keep the thread alive. */
  readonly resources: number;
  /** What V8 has taken for the young generation: it doubles this when much survives, and what it gives back stays in the resident memory. */
  readonly young: number;
}

/** All threads of all processes together stop for a collection about once a second: more would be a load of its own. */
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
  // Not all at once.
  setTimeout(look, EVERY_MS * Math.random()).unref();
}
