import type { Subscribe } from '@millrace/api/trunk';
import type { Conversations } from './effects.ts';
import type { Route } from './routes.ts';

/** An upstream that does not answer within this has failed. */
export const REQUEST_TIMEOUT_MS = 1000;

/** One subscription of this node at its next hop. */
export interface UpstreamLink {
  readonly id: number;
  readonly conversations: Conversations;
  route: Route;
  /** requested: no answer yet; standing: SUBSCRIBED; lost: the upstream has lost its own and keeps trying. */
  state: 'requested' | 'standing' | 'lost';
  readonly requestedAtMs: number;
  /** Media has come over it. */
  flowing: boolean;
  /** Nodes upstream as the next hop tells them, itself first. */
  nodes: string[];
  /** Of the path behind the next hop. */
  rttMs: number;
  lossPercent: number;
  /** The request as sent last: what changed since is sent as an update. */
  request: Subscribe;
}

export function nextHop(link: UpstreamLink): string {
  return link.route.hops[0]!.node;
}
