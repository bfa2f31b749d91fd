import type { TokenAction } from '@millrace/api';
import type { Request, Response } from 'express';
import { tokensOf } from '../access/index.ts';
import type { SignalingContext } from './context.ts';
import { iceServerLinks, setLinks } from './resource.ts';

/**
 * Names the ICE servers to a client that asks with OPTIONS before it makes its offer (RFC 9725 section 4.6). Those with credentials only to
 * holders of a token for the stream: anybody could relay traffic of any kind with them.
 */
export async function linkIceServers(context: SignalingContext, req: Request, res: Response, act: TokenAction): Promise<void> {
  const stream = `${String(req.params['app'])}/${String(req.params['name'])}`;
  const hasSecrets = context.iceServers.some(({ credential }) => credential !== undefined);
  const caller = hasSecrets ? await context.access.identify(tokensOf(req), act, stream) : undefined;
  const shown = context.iceServers.filter(({ credential }) => credential === undefined || caller?.kind === 'token');
  setLinks(res, shown.flatMap(iceServerLinks));
}
