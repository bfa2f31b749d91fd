import { bearerProblem, bearerToken } from '@millrace/service';
import type { RequestHandler } from 'express';
import type { HttpContext } from './context.ts';

/** Requires an app key, except for GETs when they are public. */
export function allowApps({ appKeys, publicReads }: HttpContext): RequestHandler {
  return (req, res, next) => {
    // The methods of a path are public, and browsers send OPTIONS without credentials.
    if (req.method === 'OPTIONS' || (publicReads && (req.method === 'GET' || req.method === 'HEAD'))) return next();
    const key = bearerToken(req.headers.authorization);
    const app = key === undefined ? undefined : appKeys.appOf(key);
    if (app === undefined) {
      const detail =
        key !== undefined
          ? 'the key is not in Secret millrace-app-keys'
          : appKeys.size > 0
            ? 'send Authorization: Bearer with an app key'
            : 'no app keys are set: put one into Secret millrace-app-keys (name of the app: key of at least 16 characters)';
      throw bearerProblem(detail, key === undefined ? undefined : 'invalid_token');
    }
    res.locals['app'] = app;
    next();
  };
}
