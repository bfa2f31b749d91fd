// What a publisher's packets say about it: its health, what follows from it, and how an SSRC that was not announced is learned.
export { judge, releaseOf, MAX_SILENCE_MS, type Moment, type PublisherHealth, type PublisherSample } from './health.ts';
export { PublisherWatch } from './watch.ts';
