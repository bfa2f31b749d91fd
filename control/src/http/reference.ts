import { controlService, openApiDocument } from '@millrace/api/operations';
import { allowMethods } from '@millrace/service';
import { Router } from 'express';

/** GET /openapi.json: what this server offers. */
export function referenceRoutes(): Router {
  const router = Router();
  let document: object | undefined;
  router
    .route('/openapi.json')
    .get((_req, res) => {
      res.json((document ??= openApiDocument(controlService)));
    })
    .all(allowMethods(['GET']));
  return router;
}
