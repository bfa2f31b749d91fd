import type { RequestHandler } from 'express';
import { Problem } from './problem.ts';

/**
 * Last handler of a path: answers OPTIONS with the allowed methods, and every other method with 405 (RFC 9110 section 15.5.6).
 * @param headers go with the answer to OPTIONS, e.g. Accept-Post
 */
export function allowMethods(allowed: readonly string[], headers: Record<string, string> = {}): RequestHandler {
  const withHead = allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed;
  const allow = [...withHead, 'OPTIONS'].join(', ');
  return (req, res) => {
    if (req.method !== 'OPTIONS')
      throw new Problem(405, 'Method Not Allowed', {
        detail: `this path takes ${allowed.join(', ')}, not ${req.method}`,
        headers: { allow },
      });
    res
      .status(200)
      .set({ allow, ...headers })
      .end();
  };
}
