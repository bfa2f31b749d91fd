/** RTP and RTCP as bytes: packet views, in-place changes, and frame marks by codec. */
export * from './rtp-packet.ts';
export * from './rtcp.ts';
export * from './frame-marker.ts';
export { H264ParameterSets } from './h264-parameter-sets.ts';
export { frameSizeOf, type FrameSize } from './frame-size.ts';
