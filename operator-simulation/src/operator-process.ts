import { createMetrics } from '@millrace/service';
import { type FakeClock } from '@millrace/testkit';
import { createKubeMetrics, KubeClient, TokenBucket, type HttpRequest, type HttpResponse, type Transport } from '@millrace/kube';
import { quietLogger } from '@millrace/testkit';
import type { ApiConnection } from '@millrace/testkit/kube-api';
import type { MemoryApi } from '@millrace/testkit/kube-api';
import { EdgeMetrics } from '@millrace/operator';
import { Operator } from '@millrace/operator';
import { ProcessClock } from './process-clock.ts';

export const SETTINGS = { controlUrl: 'ws://control/v1/agent', defaultImage: 'media-node:1' };
const LEASE_NAMESPACE = 'sys';

// All processes share one registry, because no test reads the metrics.
const registry = createMetrics({ service: 'simulation' });
const metrics = createKubeMetrics(registry);
const edgeMetrics = new EdgeMetrics(registry);
const { logger } = quietLogger('silent');

/** An operator process: the code that runs in a cluster, with its own connection and clock. */
export class OperatorProcess {
  readonly identity: string;
  readonly clock: ProcessClock;
  readonly connection: ApiConnection;
  readonly operator: Operator;
  /** Set when the process has ended, by itself or after `end` or `kill`. */
  ended: { error?: unknown } | undefined;
  readonly #api: MemoryApi;
  readonly #stop = new AbortController();

  constructor(world: FakeClock, api: MemoryApi, identity: string, random: () => number) {
    this.identity = identity;
    this.clock = new ProcessClock(world);
    this.#api = api;
    this.connection = api.connect(identity);
    const transport = new ProcessTransport(this.connection, this.clock);
    const limiter = new TokenBucket({ clock: this.clock, qps: 50, burst: 100 });
    this.operator = new Operator({
      client: new KubeClient({ transport, clock: this.clock, timeoutMs: 30_000, limiter, metrics }),
      identity,
      leaseNamespace: LEASE_NAMESPACE,
      pods: SETTINGS,
      trust: { kind: 'plain' },
      watchHosts: true,
      clock: this.clock,
      random,
      logger,
      metrics,
      edgeMetrics,
    });
    this.operator.run(this.#stop.signal).then(
      () => (this.ended = {}),
      (error: unknown) => (this.ended = { error }),
    );
  }

  /** Like SIGTERM. */
  end(): void {
    this.#stop.abort();
  }

  /** Like SIGKILL: none of its code runs any more, but its requests in flight may still be executed. */
  kill(): void {
    this.clock.kill();
    this.#api.disconnect(this.connection);
    this.ended ??= {};
  }
}

/** Holds back requests and answers while the process is stopped. */
class ProcessTransport implements Transport {
  readonly #connection: ApiConnection;
  readonly #clock: ProcessClock;

  constructor(connection: ApiConnection, clock: ProcessClock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    await this.#clock.whenRunning();
    try {
      const { body, ...head } = await this.#connection.send(request);
      return { ...head, body: this.#gated(body) };
    } finally {
      await this.#clock.whenRunning();
    }
  }

  close(): void {
    this.#connection.close();
  }

  async *#gated(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const chunk of body) {
        await this.#clock.whenRunning();
        yield chunk;
      }
    } finally {
      await this.#clock.whenRunning();
    }
  }
}
