// Judges publishers by their packets: their health, the advice and release that follow from it, and the learning of SSRCs that were not announced.
export { judge, releaseOf, MAX_SILENCE_MS, type Moment, type PublisherHealth, type PublisherSample } from './health.ts';
export { PublisherWatch } from './watch.ts';
