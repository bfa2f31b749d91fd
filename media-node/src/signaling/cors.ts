import type { RequestHandler } from 'express';

const EXPOSED = 'Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate';

/** Any page may use the signalling: what protects it is the token, and no cookie counts (RFC 9725 section 4.7). */
export const cors: RequestHandler = (req, res, next) => {
  res.set({ 'access-control-allow-origin': '*', 'access-control-expose-headers': EXPOSED });
  if (req.method === 'OPTIONS') {
    res.set({
      'access-control-allow-methods': 'GET, POST, PATCH, DELETE, OPTIONS',
      'access-control-allow-headers': 'Authorization, Content-Type, Accept, If-Match, Last-Event-ID',
      'access-control-max-age': '86400',
    });
  }
  next();
};

/** OPTIONS and every method that a resource does not have. */
export function methods(allowed: string, extra: Record<string, string> = {}): RequestHandler {
  return (req, res) => {
    res.set({ allow: `${allowed}, OPTIONS`, ...extra });
    if (req.method === 'OPTIONS') res.status(204).end();
    else
      res
        .status(405)
        .type('application/problem+json')
        .send(
          JSON.stringify({
            type: 'about:blank',
            title: 'Method Not Allowed',
            status: 405,
            detail: `this path takes ${allowed}, not ${req.method}`,
          }),
        );
  };
}
