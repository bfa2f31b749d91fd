import type { TokenAction } from '@millrace/api';
import type { RequestHandler } from 'express';
import { tokensOf } from '../access/index.ts';
import type { SignalingContext } from './context.ts';
import { iceServerLinks, setLinks } from './resource.ts';

/**
 * Answers OPTIONS with the ICE servers, for clients that need them before their offer (RFC 9725 section 4.6). Servers with credentials are named only to holders of a token for the stream, because anybody could relay any traffic with them.
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
