/** Which edges hold a stream before anyone watches it there. */
export { Prewarm } from './prewarm.ts';
export { HOLDERS_PER_REGION, chooseHolders } from './plan.ts';
