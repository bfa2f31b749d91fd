// The Kubernetes core of operator and control, from the wire up:
//
//   kubeconfig → client ─────────────┐           typed REST: get list create update patch apply delete scale watch
//                 │ fenced(fence)    │
//                 │ unlimited()      ▼
//   leader-election ─ fence      list-watch → store → informer        an indexed cache of the API's objects
//                 │                                   │ changes
//                 ▼                                   ▼
//             controller ◀── work-queue ◀── trigger(informer, mapToKeys)
//                 │ reconcile(key)
//                 ├─ pending-writes    own writes that the cache does not contain yet
//                 ├─ apply             server-side apply, without redundant requests
//                 ├─ conditions        metav1.Condition lists
//                 └─ event-recorder    Events, on transitions
//
// Every asynchronous operation takes an AbortSignal and settles when it aborts. Clocks and random sources are injected.
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
