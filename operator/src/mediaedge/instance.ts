import type { MediaEdge, MediaNode } from '@millrace/api';
import { findCondition, isTrue, type Pod } from '@millrace/kube';
import { CONTAINER, LABEL } from './names.ts';

/** Maximum age of a report that still counts, ms. Control renews it at least every 10 s for nodes that drain. */
const FRESH_MS = 15_000;
/** Used when the time of the acknowledgement is unknown: reports older than this may miss sessions that were being set up as the drain began. */
const SETTLE_MS = 3_000;
/** Maximum time between the creation of a pod and of its first MediaNode, ms. */
const MADE_TOGETHER_MS = 5_000;

/** The sessions left on a node: a number only when a recent report gave it. Unknown never counts as zero. */
export type Occupancy = { known: true; sessions: number } | { known: false; why: string };

/** The inputs of a node's occupancy besides its own report. */
export interface DrainView {
  /** ms since the epoch. */
  readonly nowMs: number;
  /** Whether this replica of control is alive. What a dead replica wrote says nothing about the present. */
  readonly isReplicaAlive: (replica: string | undefined) => boolean;
}

/** One node as the planner sees it: its pod and its MediaNode together. */
export interface Instance {
  readonly name: string;
  readonly pod: Pod;
  readonly node: MediaNode | undefined;
  readonly createdMs: number;
  /** Created from the current template. */
  readonly current: boolean;
  readonly state: 'active' | 'draining' | 'terminating' | 'finished';
  /** The kubelet reports it ready, and its agent is connected to control. */
  readonly ready: boolean;
  /** It never connected to control and is not ready, so control cannot have placed a session on it. */
  readonly neverServed: boolean;
  /** Its container does not run and its agent is disconnected: it serves nobody, whatever it reported last. */
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

/** Requires that the kubelet reports the container as stopped: a pod without a container status may run. */
function isDown(pod: Pod, node: MediaNode | undefined): boolean {
  const state = pod.status?.containerStatuses?.find(({ name }) => name === CONTAINER)?.state;
  const isStopped = state !== undefined && !state.running && (state.waiting ?? state.terminated) !== undefined;
  return isStopped && !isTrue(node?.status?.conditions, 'AgentConnected');
}

/** A MediaNode that was recreated after a deletion does not show what its pod served before. */
function isFirst(pod: Pod, node: MediaNode | undefined): boolean {
  if (!node) return pod.status?.phase !== 'Running';
  const [podMs, nodeMs] = [pod.metadata?.creationTimestamp, node.metadata.creationTimestamp].map((time) =>
    Date.parse(time ?? ''),
  );
  return !(nodeMs! - podMs! > MADE_TOGETHER_MS);
}

/**
 * The sessions left on a draining node. Zero counts only when the node is connected, has acknowledged that it takes no new sessions, and has
 * reported zero since. If any of that is missing, the occupancy is unknown.
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
  // Times are whole seconds: a report from the same second as the acknowledgement may be older than it.
  const isSince = acknowledged === Infinity ? reportedMs >= sinceMs + SETTLE_MS : reportedMs > acknowledged;
  if (!isSince) return { known: false, why: 'it has not reported since it acknowledged the drain' };
  // A node that takes no new sessions stays at zero, so a zero from after its acknowledgement holds while the node is connected.
  const stays = sessions === 0 && reportedMs > acknowledged && view.isReplicaAlive(status?.agent?.replica);
  if (!stays && nowMs - reportedMs > FRESH_MS) return { known: false, why: 'its last report is too old' };
  return { known: true, sessions };
}

/** When the node acknowledged its drain (ms since the epoch); Infinity when that time is not recorded, undefined when it has not. */
function acknowledgedMs(node: MediaNode): number | undefined {
  const { status, metadata } = node;
  const draining = findCondition(status?.conditions, 'Draining');
  if (draining?.status === 'True') return Date.parse(draining.lastTransitionTime) || Infinity;
  return (status?.programmedGeneration ?? -1) >= (metadata.generation ?? Infinity) ? Infinity : undefined;
}

/** When an unready node of the current template exceeds its progress deadline (ms since the epoch); Infinity when it is ready. */
export function progressDeadlineMs({ ready, current, createdMs, pod, node }: Instance, edge: MediaEdge): number {
  if (ready || !current) return Infinity;
  const since = [findCondition(pod.status?.conditions, 'Ready'), findCondition(node?.status?.conditions, 'AgentConnected')]
    .filter((condition) => condition !== undefined && condition.status !== 'True')
    .map((condition) => Date.parse(condition?.lastTransitionTime ?? '') || 0);
  return Math.max(createdMs, ...since) + edge.spec.update.progressDeadlineSeconds * 1000;
}

/** When the drain of an instance ends at the latest. Uses the current timeout, so that shortening it applies to a drain in progress. */
export function drainDeadlineMs(instance: Instance, edge: MediaEdge): number {
  return Date.parse(instance.node?.spec.drain?.since ?? '') + edge.spec.drain.timeoutSeconds * 1000;
}
