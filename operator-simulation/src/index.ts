// A simulation of the operator under faults. A script (script.ts, generated from a seed) lists the actions of people, nodes, the API and
// the operator's processes. A world (world.ts) executes it in virtual time, with two processes of the real operator (operator-process.ts)
// on an in-memory API (testkit/kube-api) and a fleet (fleet/: kubelets, media nodes, control). Invariants (invariants.ts) are checked at
// every write and after the faults have ended.
//
//   interleavings.test.ts   random scripts; a failure prints its seed and its shortest script
//   every-write.test.ts     Sieve's fault classes: intermediate, stale and unobserved state, each at every write
//   long-life.test.ts       memory and requests of a long-running process
//   on-sockets.test.ts      connection faults on real sockets
export { campaign, shrink, type Campaign, type CampaignResult } from './campaign.ts';
export { play, scriptOf, type RunResult } from './run.ts';
export type { Script, Step } from './script.ts';
