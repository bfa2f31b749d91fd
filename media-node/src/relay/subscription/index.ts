/** Subscriptions: each node subscribes to a stream at one upstream node, along a path, and reroutes to its backup. */
export { Subscriptions } from './subscriptions.ts';
export type { Conversations, MeasuredPath, ServedDownstream, SubscriptionEffects } from './effects.ts';
export type { LocalWant } from './wants.ts';
export { allLayers } from './layer-masks.ts';
