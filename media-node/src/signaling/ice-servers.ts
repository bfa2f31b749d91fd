import type { TokenAction } from '@millrace/api';
import type { RequestHandler } from 'express';
import { tokensOf } from '../access/index.ts';
import type { SignalingContext } from './context.ts';
import { iceServerLinks, setLinks } from './resource.ts';

/**
 * Names the ICE servers to a client that asks with OPTIONS before it makes its offer (RFC 9725 section 4.6). Those with credentials only to
 * holders of a token for the stream: anybody could relay traffic of any kind with them.
 */
export function linkIceServers(context: SignalingContext, act: TokenAction): RequestHandler {
  const hasSecrets = context.iceServers.some(({ credential }) => credential !== undefined);
  return async (req, res, next) => {
    if (req.method !== 'OPTIONS') return next();
    const stream = `${String(req.params['app'])}/${String(req.params['name'])}`;
    const caller = hasSecrets ? await context.access.identify(tokensOf(req), act, stream) : undefined;
    const shown = context.iceServers.filter(({ credential }) => credential === undefined || caller?.kind === 'token');
    setLinks(res, shown.flatMap(iceServerLinks));
    next();
  };
}
