// What tests of several packages share. It knows the wire contracts (api) and the service basics, and none of the parts that it helps to test.
//
//   kube-api/   a Kubernetes API in memory, with faults on each client's own connection
//   media/      a counted H.264 clip, plain RTP publishers and viewers
//   rtp/        RTP packets and frames that can be told apart
//   sdp/        offers of real clients
//   webrtc/     publishers and players on an independent WebRTC stack
export { FakeClock } from './fake-clock.ts';
export { quietLogger } from './quiet-logger.ts';
export * from './statistics.ts';
