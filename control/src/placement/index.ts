/** Answers "where to?": the scheduler on the fleet as it is now, with the StreamRoute's regions and the client's. */
export { Placer } from './placer.ts';
