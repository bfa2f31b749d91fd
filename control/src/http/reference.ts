import { controlService, openApiDocument } from '@millrace/api/operations';
import { allowMethods } from '@millrace/service';
import { Router } from 'express';

/** GET /openapi.json: what this server offers. */
export function referenceRoutes(): Router {
  const router = Router();
  let document: Buffer | undefined;
  router
    .route('/openapi.json')
    .get((_req, res) => {
      document ??= Buffer.from(JSON.stringify(openApiDocument(controlService)));
      res.type('json').send(document);
    })
    .all(allowMethods(['GET']));
  return router;
}
