import { mediaNodeService, openApiDocument } from '@millrace/api/operations';
import { Router } from 'express';
import { methods } from './cors.ts';

/** GET /openapi.json: what this server offers. */
export function referenceRoutes(): Router {
  const router = Router();
  let document: object | undefined;
  router
    .route('/openapi.json')
    .get((_req, res) => {
      res.json((document ??= openApiDocument(mediaNodeService)));
    })
    .all(methods('GET'));
  return router;
}
