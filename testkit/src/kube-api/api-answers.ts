import type { HttpResponse } from './wire.ts';

/** Thrown when the API rejects an object. */
export class ApiFailure extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

/** The client's error when its connection is reset. */
export function reset(): Error {
  return Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
}

/** The client's error when no server listens. */
export function refused(): Error {
  return Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
}

export function success(value: unknown, status = 200): HttpResponse {
  return { status, headers: {}, body: once(JSON.stringify(value)) };
}

export function failure(code: number, reason: string, message = reason, retryAfterSeconds?: number): HttpResponse {
  const headers: Record<string, string> = retryAfterSeconds === undefined ? {} : { 'retry-after': `${retryAfterSeconds}` };
  return { status: code, headers, body: once(JSON.stringify({ kind: 'Status', code, reason, message })) };
}

async function* once(text: string): AsyncGenerator<Uint8Array, void> {
  yield Buffer.from(text);
}
