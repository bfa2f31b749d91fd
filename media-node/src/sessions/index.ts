// Sessions: a client's transport and the media that it publishes or plays. Opens, counts, moves and ends them.
export { Session, type SessionMedia, type SessionNotice, type SessionTimeouts } from './session.ts';
export { SessionRegistry, type EndedSession, type Entrant } from './registry.ts';
export { openWebRtcPush } from './webrtc-push.ts';
export { acceptPullAnswer, offerWebRtcPull, openWebRtcPull, type PullOpening } from './webrtc-pull.ts';
export { HeardTime } from './heard-time.ts';
export type { LifeLimits } from './life-signs.ts';
export { PlainViewerWatch } from './plain-viewer-watch.ts';
export { openPlainPull, openPlainPush } from './plain-rtp.ts';
export type { PublisherPortOpener } from './plain-transport.ts';
export { restartIce } from './ice-restart.ts';
export { SessionMover } from './mover.ts';
