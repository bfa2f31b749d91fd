import type { MediaEdge } from '@millrace/api';
import type { EventInput, Node } from '@millrace/kube';
import { FAILED_RETRY_MS, NO_CHANGES, planChanges, type Changes } from './changes.ts';
import { drainDeadlineMs, observeInstance, occupancy, progressDeadlineMs, type Instance } from './instance.ts';
import { desiredMediaNode, nodesWithoutPod } from './media-node.ts';
import type { EdgeObservation, EdgePlan } from './model.ts';
import { isPaused as isEdgePaused } from '../paused.ts';
import { LABEL } from './names.ts';
import { ownAddresses } from './own-addresses.ts';
import { templateHash } from './pod.ts';
import { EVENT } from './reasons.ts';
import { planStatus } from './status.ts';

/** How often the operator checks the occupancy of a draining node when no event triggers that. */
const DRAIN_LOOK_MS = 5_000;

/** Plans what to do so that the edge matches its spec. Equal input gives an equal plan. */
export function planEdge(observation: EdgeObservation): EdgePlan {
  const { edge, nowMs } = observation;
  const instances = observe(observation);
  const isPaused = isEdgePaused(edge);
  const changes = isPaused ? NO_CHANGES : planChanges(observation, instances);
  const drained = new Set(changes.drain.map(({ instance }) => instance.name));
  const resumed = new Set(changes.resume.map(({ name }) => name));
  const removed = new Set(changes.remove.map(({ instance }) => instance.name));
  const after = instances.map((instance): Instance => {
    if (removed.has(instance.name)) return { ...instance, state: 'terminating' };
    if (drained.has(instance.name)) return { ...instance, state: 'draining' };
    return resumed.has(instance.name) ? { ...instance, state: 'active' } : instance;
  });
  const { status, events: statusEvents } = planStatus(observation, after, { create: changes.create, isPaused });
  return {
    create: changes.create,
    deletePods: changes.remove.map(({ instance }) => instance.pod),
    mediaNodes: after
      .filter((instance) => (isPaused ? lacksAddresses(instance, observation.hostOf(instance.pod)) : hasMediaNode(instance)))
      .map((instance) => desiredMediaNode(edge, instance, observation.hostOf(instance.pod), nowMs)),
    deleteMediaNodes: nodesWithoutPod(observation.mediaNodes, observation.pods),
    inUse: isPaused ? [] : after.flatMap((instance) => inUseChange(instance, observation)),
    finalizer:
      edge.metadata.deletionTimestamp && observation.pods.length + observation.uncertainCreates === 0 ? 'remove' : 'keep',
    status,
    events: changeEvents(changes),
    statusEvents,
    requeueAfterMs: requeueAfterMs(after, edge, nowMs),
  };
}

/** Each pod that serves or drains has a MediaNode, which is recreated when somebody deletes it. A terminating pod gets no new one. */
function hasMediaNode({ node, state }: Instance): boolean {
  return node !== undefined || state === 'active' || state === 'draining';
}

/** Without addresses control takes no connection from the node: they are written though the edge is paused. */
function lacksAddresses({ node, pod }: Instance, host: Node | undefined): boolean {
  return node !== undefined && node.spec.addresses === undefined && ownAddresses(pod, host) !== undefined;
}

function observe(observation: EdgeObservation): Instance[] {
  const hash = templateHash(observation.edge, observation.settings);
  const nodes = new Map(observation.mediaNodes.map((node) => [node.metadata.name, node]));
  return observation.pods
    .map((pod) => {
      const node = nodes.get(pod.metadata?.name ?? '');
      const own = node?.spec.pod.uid === pod.metadata?.uid ? node : undefined;
      return observeInstance(pod, own, { templateHash: hash, isDeleting: observation.isDeleting(pod) });
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The label that the PodDisruptionBudget selects by. It is removed only when the node is known to be empty, or known not to run: a pod
 * that keeps crashing holds no session and must not block the drain of its host. A node that is merely unready may serve and keeps it.
 */
function inUseChange(instance: Instance, observation: EdgeObservation): EdgePlan['inUse'] {
  if (instance.state === 'terminating' || instance.state === 'finished') return [];
  const was = instance.pod.metadata?.labels?.[LABEL.inUse] === 'true';
  if (instance.isDown) return was ? [{ pod: instance.pod, inUse: false }] : [];
  const left = occupancy(instance, observation);
  const isEmpty = instance.state === 'draining' ? left.known && left.sessions === 0 : instance.lastSessions === 0;
  if (was) return isEmpty ? [{ pod: instance.pod, inUse: false }] : [];
  return (instance.lastSessions ?? 0) > 0 ? [{ pod: instance.pod, inUse: true }] : [];
}

function changeEvents(changes: Changes): EventInput[] {
  const normal = (reason: string, message: string): EventInput => ({ type: 'Normal', reason, message });
  return [
    ...changes.remove.map(({ event }) => event),
    ...changes.drain.map(({ instance, why }) => normal(EVENT.draining, `Draining ${instance.name}: ${why}`)),
    ...changes.resume.map(({ name }) => normal(EVENT.resumed, `Taking ${name} back from draining: it is needed again`)),
  ];
}

function requeueAfterMs(instances: readonly Instance[], edge: MediaEdge, nowMs: number): number | undefined {
  const times = instances.flatMap((instance) => {
    if (instance.state === 'finished') return [instance.createdMs + FAILED_RETRY_MS - nowMs];
    if (instance.state === 'active') return [progressDeadlineMs(instance, edge) - nowMs].filter((ms) => ms > 0 && ms < Infinity);
    if (instance.state !== 'draining') return [];
    const deadlineMs = drainDeadlineMs(instance, edge);
    return [Math.min(DRAIN_LOOK_MS, Number.isNaN(deadlineMs) ? DRAIN_LOOK_MS : deadlineMs - nowMs)];
  });
  return times.length === 0 ? undefined : Math.max(100, Math.min(...times));
}
