import { bearerProblem, bearerToken } from '@millrace/service';
import type { RequestHandler } from 'express';
import type { HttpContext } from './context.ts';

/** Apps show their key; GETs may be open. */
export function allowApps({ appKeys, publicReads }: HttpContext): RequestHandler {
  return (req, res, next) => {
    // What a path takes is no secret, and browsers ask it without credentials.
    if (req.method === 'OPTIONS' || (publicReads && (req.method === 'GET' || req.method === 'HEAD'))) return next();
    const key = bearerToken(req.headers.authorization);
    const app = key === undefined ? undefined : appKeys.appOf(key);
    if (app === undefined) {
      const detail =
        key !== undefined
          ? 'the key is none of those in Secret millrace-app-keys'
          : appKeys.size > 0
            ? 'send Authorization: Bearer with an app key'
            : 'no app keys are set: put one into Secret millrace-app-keys (name of the app: key of at least 16 characters)';
      throw bearerProblem(detail, key === undefined ? undefined : 'invalid_token');
    }
    res.locals['app'] = app;
    next();
  };
}
