import { Problem } from './problem.ts';

/** The error codes of RFC 6750 section 3.1; none where no credentials came at all. */
export type BearerError = 'invalid_request' | 'invalid_token' | 'insufficient_scope';

/** Refuses a bearer token, or its absence, with the challenge that RFC 6750 section 3 asks for. `detail` must not contain any part of the token. */
export function bearerProblem(detail: string, error?: BearerError): Problem {
  const status = error === 'insufficient_scope' ? 403 : 401;
  const description = detail.replace(/[^\x20-\x7e]|["\\]/g, "'");
  const challenge = error === undefined ? '' : `, error="${error}", error_description="${description}"`;
  return new Problem(status, status === 403 ? 'Forbidden' : 'Unauthorized', {
    detail,
    headers: { 'www-authenticate': `Bearer realm="millrace"${challenge}` },
  });
}

/** The token of an Authorization header (RFC 6750 section 2.1), the scheme in any case (RFC 9110 section 11.1); undefined: there is none in it. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +(\S{1,8192}) *$/i.exec(header ?? '')?.[1];
}
