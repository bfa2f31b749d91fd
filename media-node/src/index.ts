// The data plane of Millrace. media: workers, published and served streams; signaling: WHIP, WHEP and short forms; sdp: negotiation; sessions and access;
// gate, rtp, relay and trunk: from node to node; channel: to control.
export { startMediaNode, type MediaNode } from './node.ts';
export { MediaNodeConfig } from './config.ts';
