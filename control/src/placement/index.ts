/** Answers "where to?": the scheduler on the fleet as it is now, with the StreamRoute's regions and the client's. */
export { Placer, type PlacementQuery, type Placed } from './placer.ts';
