import express, { type Request, type RequestHandler } from 'express';
import { Problem } from './problem.ts';

/** Type and subtype of the body without parameters, in lower case; empty where none is named. The charset is always read as UTF-8. */
export function mediaTypeOf(req: Pick<Request, 'headers'>): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

/** Reads a body of at most `limitBytes` into `req.body` as text, empty where there is none. @throws Problem 413, 415 when it is compressed */
export function textBody(limitBytes: number): RequestHandler {
  // Compressed bodies are as large as their expansion, and nobody needs them for a few KiB.
  const read = express.raw({ type: () => true, limit: limitBytes, inflate: false });
  return (req, res, next) => {
    read(req, res, (error?: unknown) => {
      const body: unknown = req.body;
      req.body = Buffer.isBuffer(body) ? new TextDecoder().decode(body) : '';
      next(error);
    });
  };
}

/**
 * Reads JSON of at most `limitBytes` into `req.body`; a request without a body has `{}`, so that the schema names what is missing.
 * Anything else is refused: 415 another type, 413 too large, 400 not JSON, or too much of it.
 * @param excessOf what a JSON text has too much of, asked before it is parsed: `requestJsonExcess` of `@millrace/api`
 * @param advice where a body of another type may belong
 */
export function jsonBody(limitBytes: number, excessOf: (text: string) => string | undefined, advice = ''): RequestHandler {
  const read = textBody(limitBytes);
  return (req, res, next) => {
    const hasBody = req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
    if (hasBody && mediaTypeOf(req) !== 'application/json') throw unsupportedType(req, ['application/json'], advice);
    read(req, res, (error?: unknown) => {
      if (error !== undefined) return next(error);
      try {
        req.body = req.body === '' ? {} : parseJson(String(req.body), excessOf);
      } catch (notJson) {
        return next(notJson);
      }
      next();
    });
  };
}

/** 415 that names the types which the operation takes. */
export function unsupportedType(req: Pick<Request, 'headers' | 'method'>, types: readonly string[], advice = ''): Problem {
  const given = mediaTypeOf(req);
  return new Problem(415, 'Unsupported Media Type', {
    detail: `send the body with "Content-Type: ${types.join('" or "')}"${given === '' ? '' : `, not ${given.slice(0, 80)}`}${advice && `; ${advice}`}`,
    headers: { [req.method === 'PATCH' ? 'accept-patch' : 'accept-post']: types.join(', ') },
  });
}

function parseJson(text: string, excessOf: (text: string) => string | undefined): object {
  const excess = excessOf(text);
  if (excess !== undefined) throw new Problem(400, 'Bad Request', { detail: `the request body holds ${excess}; send fewer` });
  let where = '';
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    // V8's message quotes the text, which may hold a token; the position is enough.
    where = / at position \d+/.exec(String(error))?.[0] ?? '';
  }
  throw new Problem(400, 'Bad Request', { detail: `the request body is no JSON object${where}` });
}
