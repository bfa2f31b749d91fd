/** The relay thread: isolates media forwarding and the main thread from each other's delays. */
import { parentPort, workerData } from 'node:worker_threads';
import type { RelayCommand, RelayEvent } from './commands.ts';
import { RelayHost, type RelayHostOptions } from './host.ts';

/** Main thread → relay thread. */
export interface CallMessage {
  call: number;
  command: RelayCommand;
  argument: unknown;
}

/** Relay thread → main thread. */
export type ThreadMessage =
  | { type: 'started'; trunkPort: number }
  | { type: 'answer'; call: number; value: unknown }
  | { type: 'error'; call: number; message: string }
  | { type: 'event'; event: RelayEvent };

const port = parentPort;
if (!port) throw new Error('relay/thread.ts is the entry of a worker thread');
const say = (message: ThreadMessage) => port.postMessage(message);

// A failure to start is an uncaught exception: the main thread receives it as the worker's error.
const host = await RelayHost.start(workerData as RelayHostOptions, (event) => say({ type: 'event', event }));

async function answer({ call, command, argument }: CallMessage): Promise<void> {
  try {
    say({ type: 'answer', call, value: await host.run(command, argument as never) });
  } catch (error) {
    say({ type: 'error', call, message: error instanceof Error ? error.message : String(error) });
  }
}

port.on('message', (message: CallMessage) => {
  void answer(message).finally(() => {
    if (message.command === 'close') port.close();
  });
});
say({ type: 'started', trunkPort: host.trunkPort });
