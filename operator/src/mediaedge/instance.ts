import type { MediaEdge, MediaNode } from '@millrace/api';
import { findCondition, isTrue, type Pod } from '@millrace/kube';
import { CONTAINER, LABEL } from './names.ts';

/** Maximum age of a report that still counts, ms. Control renews it at least every 10 s for nodes that drain. */
const FRESH_MS = 15_000;
/** When the time of the acknowledgement is not known: sessions on their way when the drain began are in the reports from here on. */
const SETTLE_MS = 3_000;
/** A pod's first MediaNode is made at once after it. */
const MADE_TOGETHER_MS = 5_000;

/** The sessions left on a node: a number only when a recent report gave it. Unknown is never zero. */
export type Occupancy = { known: true; sessions: number } | { known: false; why: string };

/** What decides an instance's occupancy, apart from its own report. */
export interface DrainView {
  /** ms since the epoch. */
  readonly nowMs: number;
  /** Whether this replica of control is alive; what a dead one wrote says nothing about now. */
  readonly isReplicaAlive: (replica: string | undefined) => boolean;
}

/** One node as the planner sees it: its pod and its MediaNode together. */
export interface Instance {
  readonly name: string;
  readonly pod: Pod;
  readonly node: MediaNode | undefined;
  readonly createdMs: number;
  /** Made from the current template. */
  readonly current: boolean;
  readonly state: 'active' | 'draining' | 'terminating' | 'finished';
  /** The kubelet reports it ready, and its agent is connected to control. */
  readonly ready: boolean;
  /** It never connected to control and is not ready, so control cannot have sent anybody to it. */
  readonly neverServed: boolean;
  /** Its container does not run and control lost its agent: it serves nobody, whatever it reported last. */
  readonly isDown: boolean;
  /** Sessions by the last report, however old; undefined when it never reported. */
  readonly lastSessions: number | undefined;
}

export function observeInstance(
  pod: Pod,
  node: MediaNode | undefined,
  facts: { templateHash: string; isDeleting: boolean },
): Instance {
  const podReady = isTrue(pod.status?.conditions, 'Ready');
  const phase = pod.status?.phase;
  const draining = node?.spec.drain !== undefined;
  return {
    name: pod.metadata?.name ?? '',
    pod,
    node,
    createdMs: Date.parse(pod.metadata?.creationTimestamp ?? '') || 0,
    current: pod.metadata?.labels?.[LABEL.template] === facts.templateHash,
    state: facts.isDeleting
      ? 'terminating'
      : phase === 'Failed' || phase === 'Succeeded'
        ? 'finished'
        : draining
          ? 'draining'
          : 'active',
    ready: podReady && isTrue(node?.status?.conditions, 'AgentConnected'),
    neverServed: node?.status?.agent === undefined && !podReady && isFirst(pod, node),
    isDown: isDown(pod, node),
    lastSessions: node?.status?.load?.sessions,
  };
}

/** Only what the kubelet says positively counts: a pod without a container status may run. */
function isDown(pod: Pod, node: MediaNode | undefined): boolean {
  const state = pod.status?.containerStatuses?.find(({ name }) => name === CONTAINER)?.state;
  const isStopped = state !== undefined && !state.running && (state.waiting ?? state.terminated) !== undefined;
  return isStopped && !isTrue(node?.status?.conditions, 'AgentConnected');
}

/** A MediaNode that was recreated after a deletion does not know what its pod served before. */
function isFirst(pod: Pod, node: MediaNode | undefined): boolean {
  if (!node) return pod.status?.phase !== 'Running';
  const [podMs, nodeMs] = [pod.metadata?.creationTimestamp, node.metadata.creationTimestamp].map((time) =>
    Date.parse(time ?? ''),
  );
  return !(nodeMs! - podMs! > MADE_TOGETHER_MS);
}

/**
 * What is left on a draining node. Zero counts only from a node that is connected, has acknowledged that it takes nothing new, and
 * reported so recently, since the drain began: whatever is missing means unknown.
 */
export function occupancy(instance: Instance, view: DrainView): Occupancy {
  const { nowMs } = view;
  const { node } = instance;
  const { status, spec } = node ?? {};
  const sessions = status?.load?.sessions;
  if (!node || sessions === undefined) return { known: false, why: 'it never reported its sessions' };
  if (!isTrue(status?.conditions, 'AgentConnected')) return { known: false, why: 'it is not connected to control' };
  const reportedMs = Date.parse(status?.agent?.lastReportAt ?? '') || 0;
  const acknowledged = acknowledgedMs(node);
  if (acknowledged === undefined) return { known: false, why: 'it has not acknowledged the drain' };
  const sinceMs = Date.parse(spec?.drain?.since ?? '') || Infinity;
  // Times are whole seconds: a report of the second of the acknowledgement may be from before it.
  const isSince = acknowledged === Infinity ? reportedMs >= sinceMs + SETTLE_MS : reportedMs > acknowledged;
  if (!isSince) return { known: false, why: 'it has not reported since it took nothing new' };
  // A node that takes nothing new cannot leave zero again, so a zero from after its acknowledgement holds while it is connected.
  const stays = sessions === 0 && reportedMs > acknowledged && view.isReplicaAlive(status?.agent?.replica);
  if (!stays && nowMs - reportedMs > FRESH_MS) return { known: false, why: 'its last report is too old' };
  return { known: true, sessions };
}

/** When the node acknowledged its drain (ms since the epoch), Infinity when that is not recorded; undefined when it did not. */
function acknowledgedMs(node: MediaNode): number | undefined {
  const { status, metadata } = node;
  const draining = findCondition(status?.conditions, 'Draining');
  if (draining?.status === 'True') return Date.parse(draining.lastTransitionTime) || Infinity;
  return (status?.programmedGeneration ?? -1) >= (metadata.generation ?? Infinity) ? Infinity : undefined;
}

/** When a node of the current template that is not ready has been so for too long (ms since the epoch); Infinity when it is ready. */
export function progressDeadlineMs({ ready, current, createdMs, pod, node }: Instance, edge: MediaEdge): number {
  if (ready || !current) return Infinity;
  const since = [findCondition(pod.status?.conditions, 'Ready'), findCondition(node?.status?.conditions, 'AgentConnected')]
    .filter((condition) => condition !== undefined && condition.status !== 'True')
    .map((condition) => Date.parse(condition?.lastTransitionTime ?? '') || 0);
  return Math.max(createdMs, ...since) + edge.spec.update.progressDeadlineSeconds * 1000;
}

/** When the drain of an instance ends at the latest, by the timeout as it stands now: shortening it helps a drain under way. */
export function drainDeadlineMs(instance: Instance, edge: MediaEdge): number {
  return Date.parse(instance.node?.spec.drain?.since ?? '') + edge.spec.drain.timeoutSeconds * 1000;
}
