/** The streams that this node carries: deduplicated packets of the last second. */
export * from './carried-stream.ts';
export { MAX_RING_SPAN, PacketRing } from './packet-ring.ts';
