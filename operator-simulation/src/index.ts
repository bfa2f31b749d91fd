// The operator under fire. A script (script.ts, from a seed) says what people, nodes, the API and the operator's processes do;
// a world (world.ts) does it, in virtual time, to two processes of the real operator (operator-process.ts) on an API in memory
// (testkit/kube-api) and a fleet (fleet/: kubelets, media nodes, control). Properties (properties.ts) are looked at with every write and
// once the faults are over.
//
//   interleavings.test.ts   random scripts; a failure prints its seed and its shortest script
//   every-write.test.ts     Sieve's classes: intermediate, stale and unobserved state, each at every place
//   long-life.test.ts       memory and requests of a process that grows old
//   on-sockets.test.ts      faults of connections, on real ones
export { campaign, shrink, type Campaign, type Outcome } from './campaign.ts';
export { play, scriptOf, type Result } from './run.ts';
export type { Script, Step } from './script.ts';
