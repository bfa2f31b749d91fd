import { bearerProblem, bearerToken, Problem } from '@millrace/service';
import type { RequestHandler, Response } from 'express';
import { coversApp, coversStream, type AppKey } from '../tokens/index.ts';
import type { HttpContext } from './context.ts';

/** Requires an app key, except for GETs when they are public. */
export function allowApps({ appKeys, publicReads }: HttpContext): RequestHandler {
  return (req, res, next) => {
    // The methods of a path are public, and browsers send OPTIONS without credentials.
    if (req.method === 'OPTIONS' || (publicReads && (req.method === 'GET' || req.method === 'HEAD'))) return next();
    const key = bearerToken(req.headers.authorization);
    const holder = key === undefined ? undefined : appKeys.holderOf(key);
    if (holder === undefined) {
      const detail =
        key !== undefined
          ? 'the key is not in Secret millrace-app-keys'
          : appKeys.size > 0
            ? 'send Authorization: Bearer with an app key'
            : 'no app keys are set: put one into Secret millrace-app-keys (name of the app: key of at least 16 characters)';
      throw bearerProblem(detail, key === undefined ? undefined : 'invalid_token');
    }
    res.locals['key'] = holder;
    next();
  };
}

/** The key of a request that `allowApps` let pass; undefined: it needed none. */
export function keyOf(res: Response): AppKey | undefined {
  return res.locals['key'] as AppKey | undefined;
}

/** Whether the caller's key is for this stream. */
export function maySee(res: Response, stream: string): boolean {
  const key = keyOf(res);
  return key === undefined || coversStream(key, stream);
}

/** @param app the first half of a stream's name @throws Problem 403 when the caller's key is for other apps */
export function requireApp(res: Response, app: string): void {
  const key = keyOf(res);
  if (key === undefined || coversApp(key, app)) return;
  throw new Problem(403, 'Not an app of this key', {
    detail: `stream: "${app}" is no app of the key "${key.name}", which is for ${key.apps!.join(', ')}; use that app's key, or list it in Secret millrace-app-keys`,
  });
}
