/** The demo's publisher: a moving picture with a clock, or the user's clip, encoded by FFmpeg and pushed by plain RTP. */
export { clockSource, fileSource } from './ffmpeg.ts';
export type { Source } from './ffmpeg.ts';
export { publishForever } from './publish.ts';
