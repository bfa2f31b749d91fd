/** The streams that this node carries: their last second, each packet once. */
export * from './carried-stream.ts';
export { MAX_RING_SPAN, PacketRing } from './packet-ring.ts';
