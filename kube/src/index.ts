// The Kubernetes core of operator and control, from the wire up:
//
//   kubeconfig → client ─────────────┐           typed REST: get list create update patch apply delete scale watch
//                 │ fenced(fence)    │
//                 │ unlimited()      ▼
//   leader-election ─ fence      list-watch → store → informer        what the API says, kept up to date, indexed
//                 │                                   │ changes
//                 ▼                                   ▼
//             controller ◀── work-queue ◀── trigger(informer, mapToKeys)
//                 │ reconcile(key)
//                 ├─ pending-writes    own writes that the cache does not show yet
//                 ├─ apply             server-side apply, sent only when it would change something
//                 ├─ conditions        metav1.Condition lists
//                 └─ event-recorder    Events, on transitions
//
// Everything takes an AbortSignal, returns a promise that settles, and gets its time and randomness from outside.
export * from './object.ts';
export * from './resources.ts';
export * from './errors.ts';
export { loadKubeconfig, kubeconfigFor, contextNamespace } from './kubeconfig.ts';
export {
  createKubeClient,
  KubeClient,
  type ApplyOptions,
  type DeleteOptions,
  type JsonPatch,
  type KubeClientOptions,
  type ListOptions,
  type ListPage,
  type Patch,
  type Scale,
  type WriteOptions,
} from './client.ts';
export type { CallOptions } from './request.ts';
export type { WatchEvent } from './watch.ts';
export type { Transport, HttpRequest, HttpResponse } from './transport.ts';
export { TokenBucket } from './token-bucket.ts';
export { createKubeMetrics, type KubeMetrics } from './metrics.ts';
export { LIST_WATCH_TUNING, type ListWatchTuning } from './list-watch.ts';
export { compareResourceVersions } from './resource-version.ts';
export { Store, byLabel, byOwner, type Change, type Indexer } from './store.ts';
export { Informer, type InformerOptions } from './informer.ts';
export { WorkQueue, type WorkQueueOptions } from './work-queue.ts';
export {
  createController,
  trigger,
  type Controller,
  type ControllerOptions,
  type ReconcileContext,
  type Trigger,
} from './controller.ts';
export { PendingWrites, type View } from './pending-writes.ts';
export { Applier, type Applied } from './apply.ts';
export { setCondition, findCondition, isTrue, formatTime, formatMicroTime, type Condition } from './conditions.ts';
export { EventRecorder, type EventInput } from './event-recorder.ts';
export { ServerClock } from './server-clock.ts';
export { LeaseFence, type Fence } from './fence.ts';
export { LeaderElector, type Term } from './leader-election.ts';
export { sleep } from './sleep.ts';
