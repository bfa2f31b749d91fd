/** The streams that live now, as one replica sees the directory, each with the policy that applies to it. */
export { LiveStreams, type StreamChange } from './live-streams.ts';
