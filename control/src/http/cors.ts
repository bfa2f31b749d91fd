import type { RequestHandler } from 'express';

/** Browsers may call from these origins. Credentials are bearer tokens, never cookies, so `*` gives nobody anything. */
export function cors(origins: readonly string[]): RequestHandler {
  return (req, res, next) => {
    const origin = req.headers.origin;
    const allowed = origins.includes('*') ? '*' : origin !== undefined && origins.includes(origin) ? origin : undefined;
    if (allowed !== undefined) {
      res.set('Access-Control-Allow-Origin', allowed);
      res.set('Access-Control-Expose-Headers', 'Location, Retry-After');
    }
    if (allowed !== '*') res.vary('Origin');
    if (req.method !== 'OPTIONS' || req.headers['access-control-request-method'] === undefined) return next();
    res.set('Access-Control-Allow-Methods', 'GET, POST, DELETE, OPTIONS');
    res.set('Access-Control-Allow-Headers', 'Authorization, Content-Type');
    res.set('Access-Control-Max-Age', '600');
    res.status(204).end();
  };
}
