/** Who gets a stream from whom: subscriptions along a path, one upstream a stream, repair by the backup. */
export { Subscriptions } from './subscriptions.ts';
export type { Conversations, MeasuredPath, ServedDownstream, SubscriptionEffects } from './effects.ts';
export type { LocalWant } from './wants.ts';
export { allLayers } from './layer-masks.ts';
