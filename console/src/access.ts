import { timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { Problem } from '@millrace/service';
import type { RequestHandler } from 'express';

/**
 * Refuses requests that other sites make through a visitor's browser: under a name that they point here (DNS rebinding; an address or
 * localhost cannot be rebound), and across origins.
 */
export const ownPageOnly: RequestHandler = (request, _response, next) => {
  const host = URL.parse(`http://${request.headers.host ?? ''}`)?.hostname.replace(/^\[|\]$/g, '') ?? '';
  if (host !== 'localhost' && isIP(host) === 0)
    throw new Problem(403, 'Forbidden', { detail: `this console is not called ${host.slice(0, 253)}; open it by its address` });
  const { origin, 'sec-fetch-site': site } = request.headers;
  const isForeign =
    origin === undefined ? site === 'cross-site' || site === 'same-site' : URL.parse(origin)?.host !== request.headers.host;
  if (isForeign && request.path.startsWith('/api/'))
    throw new Problem(403, 'Forbidden', { detail: 'only the console’s own page may call this' });
  next();
};

/** HTTP Basic (RFC 7617): any user name, and the console's app key as the password. */
export function requirePassword(password: string): RequestHandler {
  const wanted = Buffer.from(password);
  return (request, _response, next) => {
    const encoded = /^Basic ([\w+/=]{1,1024})$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const shown = Buffer.from(
      Buffer.from(encoded, 'base64')
        .toString()
        .replace(/^[^:]*:/, ''),
    );
    if (shown.length === wanted.length && timingSafeEqual(shown, wanted)) return next();
    throw new Problem(401, 'Unauthorized', {
      detail: 'beyond this machine the console asks for its app key as the password: field "console" of Secret millrace-app-keys',
      headers: { 'WWW-Authenticate': 'Basic realm="Millrace console"' },
    });
  };
}
