// Code that the tests of several packages share. It depends on the wire contracts (api) and on service, not on the packages under test.
//
//   kube-api/   an in-memory Kubernetes API, with fault injection for each client connection
//   media/      a counted H.264 clip, plain RTP publishers and viewers
//   rtp/        RTP packets, and frames with a label for each packet
//   sdp/        SDP offers of real clients
//   webrtc/     publishers and players on an independent WebRTC stack
export { FakeClock } from './fake-clock.ts';
export { quietLogger } from './quiet-logger.ts';
export * from './statistics.ts';
export { withoutIpv6 } from './without-ipv6.ts';
export { assertLinear } from './linear-time.ts';
