import { randomBytes } from 'node:crypto';
import { PlacementRequest, requestJsonExcess, type PlacementResponse } from '@millrace/api';
import { allowMethods, jsonBody, parseRequest, Problem } from '@millrace/service';
import { Router } from 'express';
import { requireApp } from './access.ts';
import type { HttpContext } from './context.ts';

/** POST /v1/push and /v1/pull: a node, a token for it, and alternatives when it cannot be reached. */
export function placementRoutes(context: HttpContext): Router {
  const router = Router();
  for (const kind of ['push', 'pull'] as const) {
    router
      .route(`/${kind}`)
      .post(
        jsonBody(16 * 1024, requestJsonExcess, `SDP goes to the media node, at "url" in the answer of POST /v1/${kind}`),
        async (req, res) => {
          const request = parseRequest(PlacementRequest, req.body);
          requireApp(res, request.stream.split('/', 1)[0]!);
          res.json(await place(context, kind, request, req.secure));
        },
      )
      .all(allowMethods(['POST'], { 'accept-post': 'application/json' }));
  }
  return router;
}

async function place(
  context: HttpContext,
  kind: 'push' | 'pull',
  request: PlacementRequest,
  httpsOnly: boolean,
): Promise<PlacementResponse> {
  const { placer, signingKeys, iceServers, tokenTtlSeconds, clock, metrics } = context;
  if (!signingKeys.ready) {
    throw new Problem(503, 'No signing key yet', {
      detail: 'Secret millrace-token-key has not been read',
      headers: { 'Retry-After': '2' },
    });
  }
  const placed = placer.place({ kind, ...request, httpsOnly });
  metrics.placements.inc({ kind, outcome: placed.ok ? 'placed' : 'refused' });
  const [first, ...alternatives] = placed.ok ? placed.places : [];
  if (!placed.ok || !first) throw nothingFits(kind, request.stream, placed.ok ? [] : placed.reasons);
  const sub = request.user ?? `anonymous-${randomBytes(6).toString('hex')}`;
  const { token, expiresAtMs } = await signingKeys.mint(
    { sub, act: kind, stream: request.stream, rtpTo: request.rtpTo },
    tokenTtlSeconds,
    clock.wall(),
  );
  context.logger.info({ kind, stream: request.stream, node: first.node, region: first.region }, 'placed');
  return {
    ...first,
    stream: request.stream,
    token,
    expiresAt: new Date(expiresAtMs).toISOString(),
    iceServers: [...iceServers],
    alternatives,
  };
}

export const NO_HTTPS =
  'the request came by HTTPS, so no token is sent on to a node that serves plain HTTP: set network.tlsSecretRef of its MediaEdge';

export function nothingFits(kind: string, stream: string, reasons: readonly { node: string; reason: string }[]): Problem {
  const noHttps = reasons.some(({ reason }) => reason === 'NoHttps') ? `; ${NO_HTTPS}` : '';
  const detail =
    reasons.length === 0
      ? 'there is no media node: create a MediaEdge'
      : `none of ${reasons.length} media nodes can ${kind} ${stream} now${noHttps}`;
  return new Problem(503, 'No media node fits', { detail, headers: { 'Retry-After': '2' }, extensions: { reasons } });
}
