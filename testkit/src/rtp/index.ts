export * from './packet.ts';
export * from './labelled-frames.ts';
export { AUDIO_TRACK, VIDEO_TRACK } from './tracks.ts';
