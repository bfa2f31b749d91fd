import type { RequestHandler } from 'express';

/** Response headers that a page's script may read. */
const EXPOSED = 'Location, ETag, Link, Retry-After, Allow, Accept-Post, Accept-Patch, WWW-Authenticate';
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';
const HEADERS = 'Authorization, Content-Type, Accept, If-Match, Last-Event-ID';
/** Chromium caches a preflight answer no longer than this. */
const MAX_AGE_SECONDS = 7200;
const FIELD_NAMES = /^[!#$%&'*+.^_`|~\w-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~\w-]+)*$/;

/**
 * Lets pages of these origins call (WHATWG Fetch, CORS protocol), `*` any page. What protects an operation is its token; no cookie counts, so
 * `*` gives nobody anything. A preflight is granted every header that it asks for: which ones count is for the operation to say.
 */
export function cors(origins: readonly string[]): RequestHandler {
  const isForAll = origins.includes('*');
  return (req, res, next) => {
    const { origin } = req.headers;
    if (!isForAll) res.vary('Origin');
    if (!isForAll && (origin === undefined || !origins.includes(origin))) return next();
    res.set({ 'access-control-allow-origin': isForAll ? '*' : origin, 'access-control-expose-headers': EXPOSED });
    if (req.method === 'OPTIONS') {
      const asked = req.headers['access-control-request-headers'];
      res.set({
        'access-control-allow-methods': METHODS,
        'access-control-allow-headers': typeof asked === 'string' && FIELD_NAMES.test(asked) ? asked : HEADERS,
        'access-control-max-age': String(MAX_AGE_SECONDS),
      });
      res.vary('Access-Control-Request-Headers');
    }
    next();
  };
}
