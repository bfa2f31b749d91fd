import type { Clock } from '@millrace/service';
import { KubeError } from './errors.ts';
import type { Fence } from './fence.ts';
import type { KubeMetrics } from './metrics.ts';
import { RequestScope } from './request-scope.ts';
import type { Resource } from './resources.ts';
import { sleep } from './sleep.ts';
import type { TokenBucket } from './token-bucket.ts';
import type { HttpResponse, Transport } from './transport.ts';

/** How one client sends its requests. */
export interface RequestPolicy {
  transport: Transport;
  clock: Clock;
  timeoutMs: number;
  /** Undefined: no rate limit. */
  limiter?: TokenBucket | undefined;
  /** Must be open for every request that is not a read. */
  fence?: Fence | undefined;
  metrics?: KubeMetrics | undefined;
  /** Receives the `Date` of each answer (ms since the epoch, whole seconds) and when its request was sent (monotonic). */
  onServerTime?: ((dateMs: number, sentMs: number) => void) | undefined;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Timeout of each attempt; default 30 s. */
  timeoutMs?: number | undefined;
}

export interface ApiRequest extends CallOptions {
  verb: string;
  resource?: Resource | undefined;
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  contentType?: string;
}

/** How often a request is retried when the server asks for it (429, or 503 with Retry-After, for example priority and fairness). */
const MAX_RETRIES = 3;
const MAX_RETRY_AFTER_MS = 30_000;
const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** Sends one request and returns its JSON answer. Throws KubeError, NotLeaderError, or the signal's reason. */
export async function call<T>(policy: RequestPolicy, request: ApiRequest): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptOnce<T>(policy, request);
    } catch (error) {
      const patience =
        error instanceof KubeError && (error.code === 429 || error.code === 503) && error.retryAfterSeconds !== undefined;
      if (!patience || attempt > MAX_RETRIES) throw error;
      await sleep(policy.clock, Math.min(error.retryAfterSeconds * 1000, MAX_RETRY_AFTER_MS), request.signal);
      request.signal?.throwIfAborted();
    }
  }
}

async function attemptOnce<T>(policy: RequestPolicy, request: ApiRequest): Promise<T> {
  const { response, scope } = await open(policy, request);
  try {
    const text = await readText(response.body);
    return text === '' ? (undefined as T) : parseAnswer<T>(text, request);
  } catch (error) {
    throw scope.signal.aborted ? scope.signal.reason : lost(error, request);
  } finally {
    scope.end();
  }
}

/**
 * Sends a request and returns a successful answer with its body unread. The caller must end the scope. The fence is checked after every
 * wait (rate limit, credentials, handshake), immediately before the first byte is sent.
 */
export async function open(policy: RequestPolicy, request: ApiRequest): Promise<{ response: HttpResponse; scope: RequestScope }> {
  const fence = request.method === 'GET' ? undefined : policy.fence;
  fence?.assertOpen();
  const admission = new RequestScope(policy.clock, [request.signal, fence?.signal]);
  try {
    await policy.limiter?.take(admission.signal);
  } finally {
    admission.end();
  }
  const what = `${request.method} ${request.path}`;
  const scope = new RequestScope(policy.clock, [request.signal, fence?.signal], {
    ms: request.timeoutMs ?? policy.timeoutMs,
    what,
  });
  const startMs = policy.clock.now();
  let outcome = 'error';
  try {
    scope.signal.throwIfAborted();
    const response = await policy.transport.send({
      method: request.method,
      path: request.path + queryString(request.query),
      headers: request.body === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      signal: scope.signal,
      beforeSend: () => fence?.assertOpen(),
    });
    outcome = `${response.status}`;
    reportServerTime(policy, response, startMs);
    if (response.status >= 200 && response.status < 300) return { response, scope };
    throw KubeError.fromAnswer(response.status, await readText(response.body), what, retryAfter(response));
  } catch (error) {
    scope.end();
    throw scope.signal.aborted ? scope.signal.reason : lost(error, request);
  } finally {
    const labels = { verb: request.verb, resource: request.resource?.plural ?? '', code: outcome };
    policy.metrics?.requestSeconds.observe(labels, (policy.clock.now() - startMs) / 1000);
  }
}

/** Converts a socket error to a KubeError; other errors are returned unchanged. */
export function lost(error: unknown, request: ApiRequest): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  const reason = error.code === 'ECONNREFUSED' ? 'ConnectionFailed' : 'ConnectionLost';
  return KubeError.local(reason, `${request.method} ${request.path}: ${error.message}`);
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw KubeError.local('BadAnswer', `answer longer than ${MAX_BODY_BYTES} bytes`);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer<T>(text: string, request: ApiRequest): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw KubeError.local('BadAnswer', `${request.method} ${request.path}: not JSON: ${text.slice(0, 80)}`, error);
  }
}

function reportServerTime({ onServerTime }: RequestPolicy, { headers }: HttpResponse, sentMs: number): void {
  const dateMs = onServerTime ? Date.parse(String(headers['date'])) : NaN;
  if (!Number.isNaN(dateMs)) onServerTime?.(dateMs, sentMs);
}

function retryAfter(response: HttpResponse): number | undefined {
  const seconds = Number(response.headers['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
}

function queryString(query: ApiRequest['query']): string {
  const entries = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== '');
  return entries.length === 0 ? '' : `?${new URLSearchParams(entries.map(([name, value]) => [name, String(value)])).toString()}`;
}
