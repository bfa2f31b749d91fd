import { createHash, randomBytes } from 'node:crypto';
import type { Clock, Logger } from '@millrace/service';
import type { KubeClient } from './client.ts';
import { formatTime } from './conditions.ts';
import { isNotFound, NotLeaderError } from './errors.ts';
import type { KubeMetrics } from './metrics.ts';
import type { KubeObject } from './object.ts';
import { events, type CoreEvent } from './resources.ts';
import { TokenBucket } from './token-bucket.ts';
import { WorkQueue } from './work-queue.ts';

export interface EventRecorderOptions {
  client: KubeClient;
  /** The reporting controller, which `kubectl describe` shows under "From". */
  component: string;
  clock: Clock;
  logger: Logger;
  random: () => number;
  metrics?: KubeMetrics | undefined;
}

export interface EventInput {
  type: 'Normal' | 'Warning';
  /** CamelCase, from a declared constant. */
  reason: string;
  message: string;
}

interface Series {
  object: KubeObject;
  input: EventInput;
  count: number;
  firstMs: number;
  lastMs: number;
  /** Set once the Event exists. */
  name: string | undefined;
  tries: number;
}

/** As in client-go: repeats within this time increment the count of one Event. */
const SERIES_MS = 10 * 60_000;
const MAX_SERIES = 2_048;
/** As in client-go's spam filter, per object: a burst of 25 Events, then one in five minutes. */
const OBJECT_BURST = 25;
const OBJECT_QPS = 1 / 300;
const MAX_TRIES = 5;
const MAX_MESSAGE_CHARS = 1_024;

/**
 * Writes core/v1 Events, which `kubectl describe` shows. Record transitions only. Equal events (object, reason, message) within ten
 * minutes become one Event with a count. It never blocks and never throws: events that cannot be written are dropped and counted.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  readonly #spam = new Map<string, TokenBucket>();
  readonly #queue: WorkQueue;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    const { clock, random, metrics } = options;
    this.#queue = new WorkQueue({ name: 'events', clock, random, metrics, backoff: { baseMs: 1_000, maxMs: 30_000 } });
  }

  event(object: KubeObject, input: EventInput): void {
    const nowMs = this.#options.clock.wall();
    const { kind, metadata } = object;
    if (!this.#mayWrite(metadata?.uid ?? `${kind}/${metadata?.namespace}/${metadata?.name}`)) return this.#drop('rate');
    const key = seriesKey(object, input);
    const known = this.#series.get(key);
    const current = known && nowMs - known.lastMs < SERIES_MS ? known : undefined;
    const message = input.message.slice(0, MAX_MESSAGE_CHARS);
    const fresh: Series = {
      object,
      input: { ...input, message },
      count: 0,
      firstMs: nowMs,
      lastMs: nowMs,
      name: undefined,
      tries: 0,
    };
    const series = current ?? fresh;
    series.count++;
    series.lastMs = nowMs;
    series.tries = 0;
    this.#series.delete(key); // keeps the map in order of last use
    this.#series.set(key, series);
    if (this.#series.size > MAX_SERIES) this.#series.delete(this.#series.keys().next().value!);
    this.#queue.add(key);
  }

  /** Writes until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#queue.run((key) => this.#write(key, signal), { concurrency: 1, signal, onError: () => undefined });
  }

  async #write(key: string, signal: AbortSignal): Promise<void> {
    const series = this.#series.get(key);
    if (!series) return;
    try {
      if (!series.name || !(await this.#countUp(series, series.name, signal))) await this.#create(series, signal);
    } catch (error) {
      if (error instanceof NotLeaderError || signal.aborted) return this.#drop('stopped');
      if (++series.tries < MAX_TRIES) throw error;
      this.#options.logger.warn({ err: error, reason: series.input.reason }, 'event not written');
      this.#drop('error');
    }
  }

  async #countUp(series: Series, name: string, signal: AbortSignal): Promise<boolean> {
    const patch = { count: series.count, lastTimestamp: formatTime(series.lastMs) };
    try {
      await this.#options.client.patch(
        events,
        { namespace: namespaceOf(series.object), name },
        { type: 'merge', patch },
        { signal },
      );
      return true;
    } catch (error) {
      if (isNotFound(error)) return false; // the API server deletes Events after an hour
      throw error;
    }
  }

  async #create(series: Series, signal: AbortSignal): Promise<void> {
    const { metadata, apiVersion, kind } = series.object;
    const namespace = namespaceOf(series.object);
    const name = `${(metadata?.name ?? '').slice(0, 200)}.${randomBytes(8).toString('hex')}`;
    const event: CoreEvent = {
      metadata: { name, namespace },
      involvedObject: {
        apiVersion,
        kind,
        name: metadata?.name,
        namespace: metadata?.namespace,
        uid: metadata?.uid,
        resourceVersion: metadata?.resourceVersion,
      },
      ...series.input,
      source: { component: this.#options.component },
      reportingComponent: this.#options.component,
      reportingInstance: '',
      count: series.count,
      firstTimestamp: formatTime(series.firstMs),
      lastTimestamp: formatTime(series.lastMs),
    };
    await this.#options.client.create(events, event, { signal });
    series.name = name;
  }

  #mayWrite(objectKey: string): boolean {
    const bucket =
      this.#spam.get(objectKey) ?? new TokenBucket({ clock: this.#options.clock, qps: OBJECT_QPS, burst: OBJECT_BURST });
    this.#spam.delete(objectKey);
    this.#spam.set(objectKey, bucket);
    if (this.#spam.size > MAX_SERIES) this.#spam.delete(this.#spam.keys().next().value!);
    return bucket.tryTake();
  }

  #drop(cause: string): void {
    this.#options.metrics?.eventsDropped.inc({ cause });
  }
}

/** Events about cluster-scoped objects live in `default`. */
function namespaceOf(object: KubeObject): string {
  return object.metadata?.namespace ?? 'default';
}

function seriesKey(object: KubeObject, input: EventInput): string {
  const { kind, metadata } = object;
  const parts = [kind, metadata?.namespace, metadata?.name, metadata?.uid, input.type, input.reason, input.message];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
