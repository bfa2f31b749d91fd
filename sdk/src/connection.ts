import type { Candidate } from './placement.ts';
import type { SessionResource } from './signaling.ts';

/** One connection to one node. */
export interface Connection {
  readonly candidate: Candidate;
  readonly peer: RTCPeerConnection;
  readonly resource: SessionResource;
}
