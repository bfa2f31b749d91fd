import type { EventInput } from '@millrace/kube';
import { drainDeadlineMs, occupancy, type Instance } from './instance.ts';
import { wantedReplicas, type EdgeObservation } from './model.ts';
import { EVENT } from './reasons.ts';

/** The changes to the nodes of an edge. */
export interface Changes {
  create: number;
  drain: { instance: Instance; why: string }[];
  resume: Instance[];
  remove: { instance: Instance; event: EventInput }[];
}

export const NO_CHANGES: Changes = { create: 0, drain: [], resume: [], remove: [] };

/** Maximum number of pods created at a time, so that a wrong template does not flood the API. */
const CREATE_BURST = 20;
/** Minimum age at which a failed pod is replaced, ms: a host where every pod fails at once is not flooded. */
export const FAILED_RETRY_MS = 10_000;
/** Decides which nodes to create, drain, restore and delete. */
export function planChanges(observation: EdgeObservation, instances: readonly Instance[]): Changes {
  const remove = instances.flatMap((instance) => removal(instance, observation));
  const removed = new Set(remove.map(({ instance }) => instance));
  const left = instances.filter((instance) => !removed.has(instance));
  const draining = left.filter(({ state }) => state === 'draining');
  const evicted = left.filter((instance) => instance.state === 'active' && isOnCordonedHost(instance, observation));
  // A pod that failed within FAILED_RETRY_MS still counts as a node, which delays its replacement.
  const active = left.filter(({ state }) => state === 'active' || state === 'finished').filter((one) => !evicted.includes(one));
  const resume = planResume(observation, active.length, draining);
  const kept = [...active, ...resume];
  const create = planCreate(
    observation,
    kept,
    draining.filter((instance) => !resume.includes(instance)),
  );
  const drain = [
    ...evicted.map((instance) => ({ instance, why: `its host ${instance.pod.spec?.nodeName ?? ''} is cordoned` })),
    ...planDrain(observation, kept),
  ];
  // A node that never served has nothing to drain.
  const [unused, used] = partition(drain, ({ instance }) => instance.neverServed);
  return {
    create,
    drain: used,
    resume,
    remove: [...remove, ...unused.map(({ instance, why }) => removeBecause(instance, `${why}; it never served`))],
  };
}

/** Pods to delete now: finished pods, and draining pods that are empty or past their drain deadline. */
function removal(instance: Instance, observation: EdgeObservation): Changes['remove'] {
  const { edge, nowMs } = observation;
  if (instance.state === 'finished') {
    if (nowMs - instance.createdMs < FAILED_RETRY_MS) return [];
    const { phase, reason, message } = instance.pod.status ?? {};
    const note = `Pod ${instance.name} ended as ${[phase, reason, message].filter(Boolean).join(': ')}`;
    return [{ instance, event: { type: 'Warning', reason: EVENT.failed, message: note.slice(0, 1000) } }];
  }
  if (instance.state !== 'draining') return [];
  if (instance.neverServed) return [removeBecause(instance, 'it never served')];
  const left = occupancy(instance, observation);
  if (left.known && left.sessions === 0) return [removeBecause(instance, 'it is drained')];
  if (!(nowMs >= drainDeadlineMs(instance, edge))) return []; // also when the start of the drain is unknown (NaN)
  const rest = left.known ? `${left.sessions} sessions were left` : `what was left is unknown: ${left.why}`;
  const message = `Deleting ${instance.name}: its drain timeout of ${edge.spec.drain.timeoutSeconds} s ran out; ${rest}`;
  return [{ instance, event: { type: 'Warning', reason: EVENT.drainTimedOut, message } }];
}

function removeBecause(instance: Instance, why: string): Changes['remove'][number] {
  return { instance, event: { type: 'Normal', reason: EVENT.deleted, message: `Deleting ${instance.name}: ${why}` } };
}

/** Draining nodes that the edge needs again. Resuming them is cheaper than creating new ones, and they may still have sessions. */
function planResume(observation: EdgeObservation, activeCount: number, draining: readonly Instance[]): Instance[] {
  const missing = wantedReplicas(observation.edge) - activeCount - observation.uncertainCreates;
  return draining
    .filter((instance) => instance.current && instance.ready && !isOnCordonedHost(instance, observation))
    .sort((a, b) => (b.lastSessions ?? 0) - (a.lastSessions ?? 0) || byAge(a, b))
    .slice(0, Math.max(0, missing));
}

/** Nodes that drain because of an update count against maxSurge. Nodes that drain for other reasons do not delay their replacement. */
function planCreate(observation: EdgeObservation, active: readonly Instance[], draining: readonly Instance[]): number {
  const { edge, uncertainCreates, settings } = observation;
  const wanted = wantedReplicas(edge);
  if (!(edge.spec.image ?? settings.defaultImage)) return 0;
  const missing = wanted - active.filter(({ current }) => current).length - uncertainCreates;
  const beingReplaced = draining.filter(({ current }) => !current).length;
  const room = wanted + edge.spec.update.maxSurge - active.length - uncertainCreates - beingReplaced;
  return Math.max(0, Math.min(missing, room, CREATE_BURST));
}

/** The nodes to drain: the surplus over replicas, then outdated nodes within maxUnavailable. */
function planDrain(observation: EdgeObservation, active: readonly Instance[]): Changes['drain'] {
  const { edge, uncertainCreates } = observation;
  const wanted = wantedReplicas(edge);
  const candidates = active.filter(({ state }) => state !== 'finished').sort(byWhoGoesFirst);
  const outdated = candidates.filter(({ current }) => !current);
  const current = candidates.filter((instance) => instance.current);
  const tooManyCurrent = Math.max(0, current.length + uncertainCreates - wanted);
  const tooManyInAll = candidates.length + uncertainCreates - tooManyCurrent - wanted - edge.spec.update.maxSurge;
  const above = [...current.slice(0, tooManyCurrent), ...outdated.slice(0, Math.max(0, tooManyInAll))].map((instance) => ({
    instance,
    why: edge.metadata.deletionTimestamp ? 'the edge is being deleted' : `replicas is ${wanted}`,
  }));
  const gone = new Set(above.map(({ instance }) => instance));
  const rest = outdated.filter((instance) => !gone.has(instance));
  const left = candidates.filter((instance) => !gone.has(instance));
  const leastReady = Math.max(0, wanted - edge.spec.update.maxUnavailable);
  let readyBudget = left.filter(({ ready }) => ready).length - leastReady;
  let countBudget = left.length - leastReady;
  const updates = rest.filter((instance) => {
    // Replacing a node that never served costs nothing; an unready node may have sessions.
    if (instance.neverServed) return true;
    if (instance.ready ? readyBudget <= 0 : countBudget <= 0) return false;
    if (instance.ready) readyBudget--;
    countBudget--;
    return true;
  });
  return [...above, ...updates.map((instance) => ({ instance, why: 'it is of an older template' }))];
}

/** Drain order: outdated before current, unready before ready, few sessions before many (unknown counts as many), old before new. */
function byWhoGoesFirst(a: Instance, b: Instance): number {
  return (
    Number(a.current) - Number(b.current) ||
    Number(b.neverServed) - Number(a.neverServed) ||
    Number(a.ready) - Number(b.ready) ||
    compareSessions(a.lastSessions, b.lastSessions) ||
    byAge(a, b)
  );
}

function compareSessions(a: number | undefined, b: number | undefined): number {
  return a === b ? 0 : (a ?? Infinity) - (b ?? Infinity);
}

function byAge(a: Instance, b: Instance): number {
  return a.createdMs - b.createdMs || (a.name < b.name ? -1 : 1);
}

function isOnCordonedHost(instance: Instance, { cordonedHosts }: EdgeObservation): boolean {
  return cordonedHosts.has(instance.pod.spec?.nodeName ?? '');
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter((item) => test(item)), items.filter((item) => !test(item))];
}
