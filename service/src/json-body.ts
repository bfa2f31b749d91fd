import express, { type RequestHandler } from 'express';
import { Problem } from './problem.ts';

/**
 * Reads a JSON object of at most `limitBytes` into `req.body`; a request without a body has `{}`, so that the schema names what is missing.
 * Anything else is refused: 415 another type, 413 too large, 400 not JSON.
 */
export function jsonBody(limitBytes: number): RequestHandler {
  // Compressed bodies are as large as their expansion, and nobody needs them for a few KiB.
  const read = express.json({ limit: limitBytes, inflate: false });
  return (req, res, next) => {
    const hasBody = req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
    if (hasBody && !req.is('application/json')) {
      throw new Problem(415, 'Unsupported Media Type', {
        detail: 'send the body with "Content-Type: application/json"',
        headers: { 'accept-post': 'application/json' },
      });
    }
    read(req, res, (error?: unknown) => {
      req.body ??= {};
      next(error);
    });
  };
}
