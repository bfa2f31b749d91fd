// HTTP signalling of a media node: WHIP (RFC 9725), WHEP (draft-ietf-wish-whep), the short forms, and plain RTP for native clients.
export { signalingApp } from './app.ts';
export type { SignalingContext } from './context.ts';
