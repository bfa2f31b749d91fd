import type { Request, RequestHandler } from 'express';

/** Treats doubled and percent-encoded slashes in a path as single separators, since no name contains a slash. */
export const tolerantPaths: RequestHandler = (req, _res, next) => {
  const end = req.url.indexOf('?');
  const path = end < 0 ? req.url : req.url.slice(0, end);
  const meant = path.replaceAll(/%2F/gi, '/').replaceAll(/\/{2,}/g, '/');
  if (meant !== path) req.url = meant + (end < 0 ? '' : req.url.slice(end));
  next();
};

/**
 * Refers to `target`, a path of this server, relatively to the URL of the request (RFC 3986 section 4.2), so that it holds behind a reverse
 * proxy that serves this server under a prefix of its own.
 */
export function relativeReference(req: Pick<Request, 'originalUrl'>, target: string): string {
  const folders = req.originalUrl.split('?', 1)[0]!.split('/').slice(1, -1);
  const segments = target.split('/').slice(1);
  let shared = 0;
  while (shared < Math.min(folders.length, segments.length - 1) && folders[shared] === segments[shared]) shared++;
  return '../'.repeat(folders.length - shared) + segments.slice(shared).join('/');
}

/** Whether a URL keeps what is sent to it, such as a token, from those on the way. */
export const isHttps = (url: string): boolean => /^https:/i.test(url);
