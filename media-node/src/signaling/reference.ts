import { mediaNodeService, openApiDocument } from '@millrace/api/operations';
import { allowMethods } from '@millrace/service';
import { Router } from 'express';

/** GET /openapi.json: the OpenAPI document of this server. */
export function referenceRoutes(): Router {
  const router = Router();
  let document: object | undefined;
  router
    .route('/openapi.json')
    .get((_req, res) => {
      res.json((document ??= openApiDocument(mediaNodeService)));
    })
    .all(allowMethods(['GET']));
  return router;
}
