import { Worker } from 'node:worker_threads';
import type { CommandAnswer, CommandArgument, RelayCommand, RelayEvent } from './commands.ts';
import { RelayHost, type RelayHostOptions } from './host.ts';
import type { CallMessage, ThreadMessage } from './thread.ts';

/** Where the relay runs. */
export interface RelayRunner {
  readonly trunkPort: number;
  call<C extends RelayCommand>(command: C, argument: CommandArgument<C>): Promise<CommandAnswer<C>>;
  stop(): Promise<void>;
}

export interface RunnerListener {
  onEvent(event: RelayEvent): void;
  /** The relay has failed for good: the node must be restarted. */
  onFailed(error: Error): void;
}

/** In the caller's thread. */
export async function runInProcess(options: RelayHostOptions, listener: RunnerListener): Promise<RelayRunner> {
  const host = await RelayHost.start(options, (event) => listener.onEvent(event));
  return {
    trunkPort: host.trunkPort,
    call: async (command, argument) => host.run(command, argument),
    stop: async () => host.run('close', undefined),
  };
}

/** In a worker thread of its own. */
export async function runInThread(options: RelayHostOptions, listener: RunnerListener): Promise<RelayRunner> {
  const runner = new ThreadRunner(options, listener);
  await runner.started;
  return runner;
}

interface Pending {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

class ThreadRunner implements RelayRunner {
  trunkPort = 0;
  readonly started: Promise<void>;
  readonly #worker: Worker;
  readonly #listener: RunnerListener;
  readonly #pending = new Map<number, Pending>();
  #nextCall = 1;
  #state: 'starting' | 'running' | 'stopping' | 'gone' = 'starting';
  #onStarted: (error?: Error) => void = () => {};

  constructor(options: RelayHostOptions, listener: RunnerListener) {
    this.#listener = listener;
    this.#worker = new Worker(new URL('./thread.ts', import.meta.url), { workerData: options, name: 'relay' });
    this.started = new Promise<void>((resolve, reject) => {
      this.#onStarted = (error) => (error ? reject(error) : resolve());
    });
    this.#worker.on('message', (message: ThreadMessage) => this.#onMessage(message));
    this.#worker.on('error', (error) => this.#onGone(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', (code) => this.#onGone(new Error(`relay thread exited with ${code}`)));
  }

  call<C extends RelayCommand>(command: C, argument: CommandArgument<C>): Promise<CommandAnswer<C>> {
    if (this.#state === 'gone') return Promise.reject(new Error('the relay thread is gone'));
    const call = this.#nextCall++;
    const message: CallMessage = { call, command, argument };
    return new Promise<CommandAnswer<C>>((resolve, reject) => {
      this.#pending.set(call, { resolve, reject });
      this.#worker.postMessage(message);
    });
  }

  async stop(): Promise<void> {
    if (this.#state === 'gone') return;
    this.#state = 'stopping';
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    await this.call('close', undefined);
    await exited;
  }

  #onMessage(message: ThreadMessage): void {
    switch (message.type) {
      case 'started':
        this.trunkPort = message.trunkPort;
        this.#state = 'running';
        return this.#onStarted();
      case 'event':
        return this.#listener.onEvent(message.event);
      case 'answer':
        this.#pending.get(message.call)?.resolve(message.value as never);
        this.#pending.delete(message.call);
        return;
      case 'error':
        this.#pending.get(message.call)?.reject(new Error(message.message));
        this.#pending.delete(message.call);
    }
  }

  #onGone(error: Error): void {
    const before = this.#state;
    if (before === 'gone') return;
    this.#state = 'gone';
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    if (before === 'starting') this.#onStarted(error);
    if (before === 'running') this.#listener.onFailed(error);
  }
}
