// The Kubernetes core of operator and control.
export * from './object.ts';
export * from './resources.ts';
export * from './errors.ts';
export { loadKubeconfig, kubeconfigFor, contextNamespace } from './kubeconfig.ts';
export { createKubeClient, KubeClient, type Selection, type ListPage, type Patch, type JsonPatch, type Scale } from './client.ts';
export type { WatchEvent } from './watch.ts';
export type { Transport, HttpRequest, HttpResponse } from './transport.ts';
export { createKubeMetrics, type KubeMetrics } from './metrics.ts';
export { runListWatch, LIST_WATCH_TUNING, type ListWatchTuning } from './list-watch.ts';
export { Store, byLabel, byOwner, type Change, type Indexer } from './store.ts';
export { Informer, type InformerOptions } from './informer.ts';
export { Applier, type Applied } from './apply.ts';
export { compareResourceVersions } from './resource-version.ts';
export { LeaseFence, type Fence } from './fence.ts';
