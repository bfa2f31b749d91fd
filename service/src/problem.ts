import { STATUS_CODES } from 'node:http';
import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import type { z } from 'zod';
import type { Logger } from './logger.ts';

export interface ProblemInit {
  /** A URI reference that names the kind of problem; default `about:blank` (RFC 9457 section 4.2.1). */
  type?: string;
  /** What went wrong in this request, naming the field and the remedy. */
  detail?: string;
  /** Response headers that belong to it, e.g. Retry-After. */
  headers?: Record<string, string>;
  /** Further members of the JSON object (RFC 9457 section 3.2). */
  extensions?: Record<string, unknown>;
}

/** An error that the caller of an HTTP API may see: RFC 9457 problem details. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly title: string;
  readonly type: string;
  readonly detail: string | undefined;
  readonly headers: Record<string, string>;
  readonly extensions: Record<string, unknown>;

  constructor(status: number, title: string, init: ProblemInit = {}) {
    super(init.detail ? `${title}: ${init.detail}` : title);
    this.status = status;
    this.title = title;
    this.type = init.type ?? 'about:blank';
    this.detail = init.detail;
    this.headers = init.headers ?? {};
    this.extensions = init.extensions ?? {};
  }

  toJSON(): Record<string, unknown> {
    const { type, title, status, detail } = this;
    return { ...this.extensions, type, title, status, ...(detail === undefined ? {} : { detail }) };
  }
}

/** Errors that a refusal lists, and characters of each. */
const MAX_ERRORS = 10;
const MAX_ERROR_CHARACTERS = 200;

/** Checks what came with a request; throws a 400 Problem that lists the first errors with their paths. */
export function parseRequest<T>(schema: z.ZodType<T>, value: unknown, what = 'request body'): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  const errors = issues.slice(0, MAX_ERRORS).map(({ path, message }) => ({
    path: path.map(String).join('.').slice(0, MAX_ERROR_CHARACTERS),
    message: message.slice(0, MAX_ERROR_CHARACTERS),
  }));
  const rest = issues.length > MAX_ERRORS ? `; and ${issues.length - MAX_ERRORS} more` : '';
  const detail = errors.map((e) => (e.path ? `${e.path}: ${e.message}` : e.message)).join('; ') + rest;
  throw new Problem(400, `Invalid ${what}`, { detail, extensions: { errors } });
}

/** Last in the chain of routes: an unknown path answers as a problem too, not as express' HTML page. */
export const notFoundHandler: RequestHandler = (req, res) => {
  send(res, new Problem(404, 'Not Found', { detail: `no ${req.method} ${req.path} here` }));
};

/** Express error handler: a Problem as it is, a refused body or URL as 4xx, all else as a 500 that reveals no internals. */
export function problemHandler(logger: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    const problem = toProblem(error);
    if (problem.status >= 500 && problem !== error)
      logger.error({ err: error, method: req.method, path: req.path }, 'request failed');
    else logger.debug({ method: req.method, path: req.path, status: problem.status, detail: problem.detail }, 'request refused');
    if (res.headersSent) next(error);
    else send(res, problem);
  };
}

/** body-parser and the router set a `status` below 500 on errors that the caller caused. */
interface MarkedError {
  status?: unknown;
  type?: unknown;
  message?: unknown;
  expose?: unknown;
  limit?: unknown;
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const marked = (error ?? {}) as MarkedError;
  const { status, expose } = marked;
  if (typeof status === 'number' && status >= 400 && status < 500 && expose !== false) {
    return new Problem(status, STATUS_CODES[status] ?? 'Bad Request', { detail: remedyOf(marked) });
  }
  return new Problem(500, 'Internal Server Error');
}

function remedyOf({ type, message, limit }: MarkedError): string {
  switch (type) {
    case 'entity.too.large':
      return `the request body is too large; at most ${String(limit)} bytes are taken here`;
    case 'encoding.unsupported':
      return 'the request body must not be compressed; leave Content-Encoding out';
    default:
      return String(message).slice(0, 200);
  }
}

function send(res: Response, problem: Problem): void {
  res.status(problem.status).set(problem.headers).type('application/problem+json').send(JSON.stringify(problem));
}
