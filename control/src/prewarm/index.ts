/** Which edges hold a stream before anyone watches it there. */
export { Prewarm } from './prewarm.ts';
