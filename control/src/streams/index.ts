/** The live streams as one replica sees them in the directory, each with the policy that applies. */
export { LiveStreams, type StreamChange } from './live-streams.ts';
