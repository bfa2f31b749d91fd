import { requireNoDowngrade } from './downgrade.ts';
import type { Candidate } from './placement.ts';

/** A node asks a client to reconnect, to another node or to itself: the node drains, one of its workers died, or the stream changed codecs. */
export interface MoveRequest {
  readonly url: string;
  /** Base URL of the short signalling forms there. */
  readonly signaling?: string;
  readonly token?: string;
  readonly reason: string;
  /** RFC 3339; the present session continues until then. */
  readonly deadlineAt?: string;
}

/** Where a node asks its client to go. @throws SignalingError when that is in clear, and the client is connected by HTTPS */
export function movedTo({ signaling: left, ...candidate }: Candidate, request: MoveRequest): Candidate {
  for (const to of [request.url, request.signaling])
    if (to !== undefined)
      for (const from of [candidate.url, left]) if (from !== undefined) requireNoDowngrade(from, to, 'the move');
  return {
    ...candidate,
    node: new URL(request.url).host,
    url: request.url,
    ...(request.signaling === undefined ? {} : { signaling: request.signaling }),
    token: request.token ?? candidate.token,
  };
}
