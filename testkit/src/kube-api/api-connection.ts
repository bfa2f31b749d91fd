import type { HttpRequest, HttpResponse, Transport } from './wire.ts';
import { failure, refused, reset } from './api-answers.ts';
import type { ClientConnection, Faults, ServedApi } from './model.ts';
import type { StoreEvent } from './object-store.ts';
import type { WatchStream } from './watch-stream.ts';

/** One client's connection to the API, with its own faults and watches. Its watches may lag, as with another API server's watch cache. */
export class ApiConnection implements Transport, ClientConnection {
  readonly name: string;
  readonly watches = new Set<WatchStream>();
  faults: Faults = {};
  /** The number of requests that reached the server; watches count as reads. */
  readonly seen = { reads: 0, writes: 0 };
  readonly #api: ServedApi;
  #late: boolean | string = false;
  /** Called for each write request on arrival. */
  onWrite: ((request: HttpRequest) => void) | undefined;
  /** A fault with precedence over `faults.fail`. */
  overridingFault: Faults['fail'];

  constructor(api: ServedApi, name: string) {
    this.#api = api;
    this.name = name;
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    request.signal.throwIfAborted();
    const fault = this.overridingFault?.(request) ?? this.faults.fail?.(request);
    if (fault === 'refuse' || this.#api.isDown) throw refused();
    request.beforeSend?.();
    if (fault === 'stall') return await never(request.signal);
    if (fault === 'before') throw reset();
    if (typeof fault === 'object' && 'delayMs' in fault) return await this.#serveLater(request, fault);
    if (typeof fault === 'object') return failure(fault.code, fault.reason, fault.message, fault.retryAfterSeconds);
    const answer = this.#arrive(request);
    if (fault === 'stallAfter') return await never(request.signal);
    if (fault === 'after') throw reset();
    return answer;
  }

  close(): void {
    this.cutWatches();
  }

  /** True or the name of a collection: those watches deliver nothing until this is false again. */
  set late(late: boolean | string) {
    this.#late = late;
    for (const watch of this.watches) watch.wake();
  }

  isLate(collection: string): boolean {
    return this.#late === true || (typeof this.#late === 'string' && collection.endsWith(this.#late));
  }

  cutWatches(error?: Error): void {
    for (const watch of [...this.watches]) watch.cut(error);
  }

  deliver(event: StoreEvent): void {
    for (const watch of this.watches) watch.push(event);
  }

  /** Executes the request after a delay, whether or not the client still waits for the answer. */
  async #serveLater(request: HttpRequest, { delayMs, lose }: { delayMs: number; lose?: boolean }): Promise<HttpResponse> {
    const clock = this.#api.clock;
    if (!clock) throw new Error('a delayed request needs a clock');
    const done = Promise.withResolvers<HttpResponse>();
    done.promise.catch(() => undefined); // the client may have given up
    clock.setTimeout(() => {
      try {
        const answer = this.#arrive(request);
        if (lose) done.reject(reset());
        else done.resolve(answer);
      } catch (error) {
        done.reject(error);
      }
    }, delayMs);
    return await Promise.race([done.promise, never(request.signal)]);
  }

  #arrive(request: HttpRequest): HttpResponse {
    if (request.method === 'GET') this.seen.reads++;
    else {
      this.seen.writes++;
      this.onWrite?.(request);
    }
    return this.#api.serve(request, this);
  }
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
