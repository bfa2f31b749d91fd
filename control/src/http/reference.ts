import { controlService, openApiDocument } from '@millrace/api/operations';
import { Router } from 'express';

/** GET /openapi.json: what this server offers. */
export function referenceRoutes(): Router {
  const router = Router();
  let document: object | undefined;
  router.get('/openapi.json', (_req, res) => {
    res.json((document ??= openApiDocument(controlService)));
  });
  return router;
}
