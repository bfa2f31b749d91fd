// Sessions: a client's transport with what it publishes or plays. How they are opened, counted, watched, moved away and ended.
export {
  Session,
  isWebRtc,
  newTag,
  type Protocol,
  type SessionMedia,
  type SessionNotice,
  type SessionState,
  type SessionTimeouts,
} from './session.ts';
export { SessionRegistry, type SessionLimits } from './registry.ts';
export { openWebRtcPush, type OpenContext } from './webrtc-push.ts';
export { acceptPullAnswer, offerWebRtcPull, openWebRtcPull, type PullOpening } from './webrtc-pull.ts';
export { openPlainPull, openPlainPush } from './plain-rtp.ts';
export { restartIce } from './ice-restart.ts';
export { planMoves } from './drain.ts';
export { SessionMover } from './mover.ts';
export { SilenceWatch } from './silence.ts';
