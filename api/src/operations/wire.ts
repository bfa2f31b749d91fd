import type { AccessRule } from './access.ts';

/** What can be asked of Millrace other than by an HTTP request; for the access table. */
export interface WireOperation {
  readonly id: string;
  readonly where: string;
  readonly summary: string;
  readonly access: AccessRule;
}

export const wireOperations: readonly WireOperation[] = [
  { id: 'metrics-elsewhere', where: 'ops', summary: 'GET /metrics from outside of `metricsFrom`', access: 'elsewhere' },
  { id: 'agent', where: 'control', summary: 'GET /v1/agent (WebSocket), then `hello`', access: 'agent' },
  { id: 'trunk', where: 'media-node', summary: 'Trunk handshake (UDP, trunk port)', access: 'trunk' },
  { id: 'webrtc', where: 'media-node', summary: 'STUN, then DTLS and SRTP (UDP, media ports)', access: 'media' },
  { id: 'plain-rtp', where: 'media-node', summary: 'Plain RTP to an open session (UDP, rtpPorts)', access: 'media' },
];
