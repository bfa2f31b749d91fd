import type { Condition, MediaEdge } from '@millrace/api';
import { maxItemsOf } from '@millrace/api/crd-bounds';
import { mediaEdgeCrd } from '@millrace/api/crds/definitions';
import type { Refusal } from '../attempts.ts';
import { findCondition, isTrue, setCondition, type EventInput } from '@millrace/kube';
import { drainDeadlineMs, progressDeadlineMs, type Instance } from './instance.ts';
import { wantedReplicas, type EdgeObservation } from './model.ts';
import { selectorOf } from './pod.ts';
import { CONDITION, EVENT, REASON } from './reasons.ts';

type Status = NonNullable<MediaEdge['status']>;
type EdgeCondition = Pick<Condition, 'status' | 'reason' | 'message'>;

const MAX_ENDPOINTS = maxItemsOf(mediaEdgeCrd, 'status.endpoints');
const MAX_NAMED = 5;

/** The status once the plan is carried out, and an Event when the edge becomes ready or stops being ready. */
export function planStatus(
  observation: EdgeObservation,
  instances: readonly Instance[],
  plan: { create: number; isPaused: boolean },
): { status: Status; events: EventInput[] } {
  const { edge, nowMs } = observation;
  const active = instances.filter(({ state }) => state === 'active');
  const draining = instances.filter(({ state }) => state === 'draining');
  const ready = active.filter((instance) => instance.ready);
  const counts = {
    replicas: active.length,
    desired: wantedReplicas(edge),
    ready: ready.length,
    updated: active.filter(({ current }) => current).length,
    draining: draining.length,
  };
  const verdicts: [string, EdgeCondition][] = [
    [CONDITION.accepted, accepted(observation)],
    [CONDITION.resolvedRefs, resolvedRefs(observation)],
    [
      CONDITION.progressing,
      plan.isPaused ? paused(edge, instances.length) : progressing(observation, counts, active, plan.create),
    ],
    [CONDITION.draining, drainingVerdict(edge, draining)],
    [CONDITION.ready, readyVerdict(observation, counts, active)],
  ];
  const old = edge.status?.conditions;
  const conditions = verdicts.reduce(
    (list, [type, verdict]) => setCondition(list, { type, ...verdict, observedGeneration: edge.metadata.generation }, nowMs),
    old?.filter(({ type }) => verdicts.some(([own]) => own === type)) ?? [],
  );
  const load = loadOf(edge.status?.load, [...active, ...draining]);
  const status: Status = {
    ...(edge.metadata.generation === undefined ? {} : { observedGeneration: edge.metadata.generation }),
    ...counts,
    selector: selectorOf(edge.metadata.name),
    ...(load ? { load } : {}),
    endpoints: endpoints(ready),
    conditions,
  };
  return { status, events: [...stalledEvents(old, conditions), ...readyEvents(old, conditions)] };
}

function paused({ metadata }: MediaEdge, left: number): EdgeCondition {
  const verdict = { status: 'False', reason: REASON.paused } as const;
  if (metadata.deletionTimestamp) {
    const message = `The edge is being deleted, but annotated millrace.dev/paused: its ${left} nodes stay. To drain and delete them: kubectl annotate mediaedge ${metadata.name} millrace.dev/paused-`;
    return { ...verdict, message };
  }
  return {
    ...verdict,
    message: 'Annotated millrace.dev/paused: nodes are neither created, drained nor deleted until it is removed',
  };
}

function accepted({ edge, settings }: EdgeObservation): EdgeCondition {
  if (edge.spec.image ?? settings.defaultImage) return { status: 'True', reason: REASON.accepted, message: 'The spec is valid' };
  const message = 'No image: set spec.image, or start the operator with --media-node-image';
  return { status: 'False', reason: REASON.imageMissing, message };
}

function resolvedRefs({ edge, missing, tlsSecret, trust }: EdgeObservation): EdgeCondition {
  const { meshRef, network } = edge.spec;
  if (missing.mesh) {
    const message = `RelayMesh ${meshRef?.name} does not exist in this namespace: create it or change meshRef`;
    return { status: 'False', reason: REASON.meshNotFound, message };
  }
  // Without it no node connects, so it is said before what concerns the clients of one edge.
  if (!trust.ok) return { status: trust.status, reason: trust.reason, message: trust.message };
  const name = network.tlsSecretRef?.name;
  switch (tlsSecret.state) {
    case 'missing': {
      const message = `Secret ${name} does not exist in this namespace: create it or change network.tlsSecretRef`;
      return { status: 'False', reason: REASON.tlsSecretNotFound, message };
    }
    case 'otherType': {
      const message = `Secret ${name} is of type ${tlsSecret.type}, not kubernetes.io/tls: change network.tlsSecretRef, or delete the Secret (a type is immutable) and create it with kubectl create secret tls ${name} --cert=FILE --key=FILE`;
      return { status: 'False', reason: REASON.tlsSecretOfOtherType, message };
    }
    case 'unreadable': {
      const message = `Whether Secret ${name} exists is unknown: ${tlsSecret.why}`;
      return { status: 'Unknown', reason: REASON.tlsSecretUnreadable, message };
    }
    case 'found':
      return { status: 'True', reason: REASON.resolvedRefs, message: 'Everything referred to exists' };
  }
}

interface Counts {
  replicas: number;
  desired: number;
  ready: number;
  updated: number;
  draining: number;
}

function progressing(observation: EdgeObservation, counts: Counts, active: readonly Instance[], create: number): EdgeCondition {
  const { edge, createRefused, refusals = [], failing, nowMs } = observation;
  const { desired, updated, replicas, ready, draining } = counts;
  const yes = (reason: string, message: string): EdgeCondition => ({ status: 'True', reason, message });
  if (refusals.length > 0) return { status: 'False', reason: REASON.writeRefused, message: writesRefusedMessage(refusals) };
  if (edge.metadata.deletionTimestamp) return yes(REASON.deleting, `Nodes left: ${replicas + draining}`);
  if (createRefused) return { status: 'False', reason: REASON.createRefused, message: refusedMessage(counts, createRefused) };
  const late = active.filter((instance) => progressDeadlineMs(instance, edge) <= nowMs);
  if (late.length > 0) {
    const message = `Not ready after ${edge.spec.update.progressDeadlineSeconds} s: ${namedWhy(late)}`;
    return { status: 'False', reason: REASON.deadlineExceeded, message };
  }
  if (failing && nowMs - failing.sinceMs >= edge.spec.update.progressDeadlineSeconds * 1000) {
    const message = `${ready} of ${desired} nodes are ready; pods have been failing and replaced for more than ${edge.spec.update.progressDeadlineSeconds} s, last ${failing.last}`;
    return { status: 'False', reason: REASON.deadlineExceeded, message };
  }
  if (updated < replicas) return yes(REASON.rollingOut, `${updated} of ${desired} nodes are of the current template`);
  if (replicas < desired || create > 0) return yes(REASON.scalingUp, `${replicas} of ${desired} nodes exist`);
  if (ready < desired) return yes(REASON.waitingForNodes, notReadyMessage(counts, active));
  if (replicas > desired || draining > 0)
    return yes(REASON.scalingDown, `Nodes: ${replicas} serving, ${draining} draining, ${desired} wanted`);
  return { status: 'False', reason: REASON.complete, message: `${desired} of ${desired} nodes are ready and up to date` };
}

function drainingVerdict(edge: MediaEdge, draining: readonly Instance[]): EdgeCondition {
  if (draining.length === 0) return { status: 'False', reason: REASON.noneDraining, message: 'No node is being drained' };
  const named = draining.slice(0, MAX_NAMED).map((instance) => {
    const deadlineMs = drainDeadlineMs(instance, edge);
    const until = Number.isNaN(deadlineMs) ? '' : ` until ${new Date(deadlineMs).toISOString().slice(0, 19)}Z at the latest`;
    return `${instance.name}${until}`;
  });
  return { status: 'True', reason: REASON.nodesDraining, message: listed(named, draining.length) };
}

function readyVerdict(
  { edge, createRefused, missing }: EdgeObservation,
  counts: Counts,
  active: readonly Instance[],
): EdgeCondition {
  const { desired, ready } = counts;
  if (!findCondition(edge.status?.conditions, CONDITION.ready))
    return { status: 'Unknown', reason: REASON.observing, message: 'Seen for the first time' };
  const no = (reason: string, message: string): EdgeCondition => ({ status: 'False', reason, message });
  if (edge.metadata.deletionTimestamp) return no(REASON.deleting, 'The edge is being deleted');
  if (desired === 0) return no(REASON.noReplicas, 'replicas is 0: nothing is served');
  if (ready < Math.max(1, desired - edge.spec.update.maxUnavailable)) {
    if (createRefused) return no(REASON.createRefused, refusedMessage(counts, createRefused));
    return no(REASON.nodesNotReady, notReadyMessage(counts, active));
  }
  if (missing.mesh) {
    const message = `Nodes are ready, but RelayMesh ${edge.spec.meshRef?.name} does not exist: they serve only what is published on them`;
    return no(REASON.meshNotFound, message);
  }
  return { status: 'True', reason: REASON.nodesReady, message: `${Math.min(ready, desired)} of ${desired} nodes are ready` };
}

function notReadyMessage({ ready, desired }: Counts, active: readonly Instance[]): string {
  const missing = active.filter((instance) => !instance.ready);
  return `${ready} of ${desired} nodes are ready${missing.length > 0 ? `; ${namedWhy(missing)}` : ''}`;
}

function namedWhy(missing: readonly Instance[]): string {
  const named = missing.slice(0, MAX_NAMED).map((instance) => `${instance.name}: ${whyNotReady(instance)}`);
  return listed(named, missing.length);
}

function refusedMessage({ replicas, desired }: Counts, refusal: string): string {
  return `${replicas} of ${desired} nodes exist; the API takes no more: ${refusal}`;
}

function writesRefusedMessage(refusals: readonly Refusal[]): string {
  const named = refusals.slice(0, MAX_NAMED).map(({ what, why }) => `${what}: ${why}`);
  return `The API refuses ${listed(named, refusals.length)}`;
}

function whyNotReady({ pod, node }: Instance): string {
  const { containerStatuses, conditions, phase } = pod.status ?? {};
  const waiting = containerStatuses?.find(({ state }) => state?.waiting)?.state?.waiting;
  if (waiting) return [waiting.reason, waiting.message].filter(Boolean).join(', ').slice(0, 200);
  const scheduled = findCondition(conditions, 'PodScheduled');
  if (scheduled?.status === 'False') return `${scheduled.reason ?? 'not scheduled'}, ${scheduled.message ?? ''}`.slice(0, 200);
  if (!isTrue(conditions, 'Ready')) return `its pod is ${phase ?? 'Pending'} and not ready`;
  return node?.status?.agent ? 'its agent lost control' : 'its agent has not reached control';
}

function listed(named: readonly string[], count: number): string {
  return named.join('; ') + (count > named.length ? `; and ${count - named.length} more` : '');
}

function endpoints(ready: readonly Instance[]): NonNullable<Status['endpoints']> {
  return ready
    .flatMap(({ name, node }) => {
      const signalingUrl = node?.status?.endpoints?.signalingUrl;
      return signalingUrl ? [{ node: name, signalingUrl }] : [];
    })
    .slice(0, MAX_ENDPOINTS);
}

/**
 * Sum over the nodes that have reported, in whole units. A total that changed little keeps its old value, since each change is a write;
 * small counts are exact. Nodes that lost control count with their last report, since they still carry their sessions.
 */
function loadOf(old: Status['load'], instances: readonly Instance[]): Status['load'] {
  const loads = instances.flatMap(({ node }) => node?.status?.load ?? []);
  if (loads.length === 0) return undefined;
  const sum = (values: (number | undefined)[]): number => values.reduce<number>((total, value) => total + (value ?? 0), 0);
  const keep = (before: number | undefined, now: number, band: number): number =>
    before !== undefined && (now === 0) === (before === 0) && Math.abs(now - before) <= band * before ? before : now;
  return {
    cpuPercent: keep(old?.cpuPercent, Math.round(sum(loads.map((load) => load.cpuPercent)) / loads.length), 0.1),
    egressMbps: keep(old?.egressMbps, Math.round(sum(loads.map((load) => load.egressMbps)) * 10) / 10, 0.1),
    sessions: keep(old?.sessions, sum(loads.map((load) => load.sessions)), 0.05),
  };
}

/** An Event when the deadline is exceeded. Other causes of a stalled edge already show as events of its nodes. */
function stalledEvents(old: readonly Condition[] | undefined, conditions: readonly Condition[]): EventInput[] {
  const before = findCondition(old, CONDITION.progressing);
  const after = findCondition(conditions, CONDITION.progressing);
  if (!after || before?.reason === after.reason) return [];
  if (after.reason === REASON.createRefused) return [{ type: 'Warning', reason: EVENT.createRefused, message: after.message }];
  if (after.reason === REASON.writeRefused) return [{ type: 'Warning', reason: EVENT.writeRefused, message: after.message }];
  if (after.reason !== REASON.deadlineExceeded) return [];
  return [{ type: 'Warning', reason: EVENT.deadlineExceeded, message: after.message }];
}

function readyEvents(old: readonly Condition[] | undefined, conditions: readonly Condition[]): EventInput[] {
  const before = findCondition(old, CONDITION.ready);
  const after = findCondition(conditions, CONDITION.ready);
  if (!before || !after || before.status === after.status) return [];
  if (after.status === 'True') return [{ type: 'Normal', reason: EVENT.becameReady, message: after.message }];
  if (before.status !== 'True') return [];
  const isFault = [REASON.nodesNotReady, REASON.createRefused, REASON.meshNotFound].some((reason) => after.reason === reason);
  const type = isFault ? 'Warning' : 'Normal';
  return [{ type, reason: EVENT.becameNotReady, message: after.message }];
}
