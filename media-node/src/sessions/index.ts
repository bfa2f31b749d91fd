// Sessions: a client's transport with what it publishes or plays. How they are opened, counted, watched, moved away and ended.
export { Session, type SessionMedia, type SessionNotice, type SessionTimeouts } from './session.ts';
export { SessionRegistry, type EndedSession } from './registry.ts';
export { openWebRtcPush } from './webrtc-push.ts';
export { acceptPullAnswer, offerWebRtcPull, openWebRtcPull, type PullOpening } from './webrtc-pull.ts';
export { openPlainPull, openPlainPush } from './plain-rtp.ts';
export { restartIce } from './ice-restart.ts';
export { SessionMover } from './mover.ts';
