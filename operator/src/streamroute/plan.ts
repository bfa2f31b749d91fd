import {
  DEFAULT_PATH_POLICY_KEY,
  pathPolicyKey,
  type Condition,
  type MediaNode,
  type RelayMesh,
  type StreamRoute,
} from '@millrace/api';
import { findCondition, setCondition, type EventInput } from '@millrace/kube';
import { shadowedPatterns } from './conflicts.ts';
import { PAUSED_CONDITION } from '../paused.ts';
import { CONDITION, EVENT, REASON } from './reasons.ts';

/** Everything the status of a StreamRoute depends on. */
export interface RouteObservation {
  readonly route: StreamRoute;
  /** All StreamRoutes of its namespace. */
  readonly routes: readonly StreamRoute[];
  /** MediaNodes of its namespace. */
  readonly nodes: readonly MediaNode[];
  /** RelayMeshes of its namespace. */
  readonly meshes: readonly RelayMesh[];
  /** ms since the epoch. */
  readonly nowMs: number;
}

export interface RoutePlan {
  /** The operator's part of status; the rest is control's. */
  readonly status: Required<Pick<NonNullable<StreamRoute['status']>, 'policyKey' | 'conditions'>> & {
    observedGeneration?: number;
  };
  readonly events: readonly EventInput[];
}

type Verdict = Pick<Condition, 'status' | 'reason' | 'message'>;

const MAX_NAMED = 5;
const OWN_CONDITIONS: readonly string[] = [...Object.values(CONDITION), PAUSED_CONDITION.type];

/** What a StreamRoute's status should say. Equal input gives an equal plan. */
export function planRoute(observation: RouteObservation): RoutePlan {
  const { route, nowMs } = observation;
  const accepted = acceptedVerdict(observation);
  const resolvedRefs = resolvedRefsVerdict(observation);
  const programmed = programmedVerdict(observation);
  const ready = readyVerdict(route, { accepted, resolvedRefs, programmed });
  const verdicts: [string, Verdict][] = [
    [CONDITION.accepted, accepted],
    [CONDITION.resolvedRefs, resolvedRefs],
    [CONDITION.programmed, programmed],
    [CONDITION.ready, ready],
  ];
  const old = route.status?.conditions;
  const { generation } = route.metadata;
  const conditions = verdicts.reduce(
    (list, [type, verdict]) => setCondition(list, { type, ...verdict, observedGeneration: generation }, nowMs),
    old?.filter(({ type }) => verdicts.some(([own]) => own === type)) ?? [],
  );
  return {
    status: {
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      policyKey: pathPolicyKey(route.spec.path),
      conditions,
    },
    events: readyEvents(old, conditions),
  };
}

/** The status of a route that people asked to leave alone: as it is, and that it is so. */
export function pausedStatus({ route, nowMs }: RouteObservation): RoutePlan['status'] {
  const { observedGeneration, policyKey = pathPolicyKey(route.spec.path), conditions } = route.status ?? {};
  const condition = { ...PAUSED_CONDITION, observedGeneration: route.metadata.generation };
  const own = conditions?.filter(({ type }) => OWN_CONDITIONS.includes(type));
  return {
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    policyKey,
    conditions: setCondition(own, condition, nowMs),
  };
}

function acceptedVerdict({ route, routes }: RouteObservation): Verdict {
  const shadowed = shadowedPatterns(route, routes);
  if (shadowed.length === 0) return { status: 'True', reason: REASON.accepted, message: 'The spec is valid and counts.' };
  const named = listed(shadowed.map(({ pattern, by }) => `${pattern} (by ${by})`));
  if (shadowed.length < route.spec.streams.length)
    return { status: 'True', reason: REASON.partlyConflicted, message: `Other StreamRoutes win for ${named}.` };
  const message = `Other StreamRoutes win for every pattern: ${named}. Raise priority, or remove one of them.`;
  return { status: 'False', reason: REASON.conflicted, message };
}

/** Regions that it names and where no node is, and meshes that are gone. What it avoids need not exist. */
function resolvedRefsVerdict({ route, nodes, meshes }: RouteObservation): Verdict {
  const known = new Set(nodes.map(({ spec }) => spec.region));
  const { origin, distribution, path } = route.spec;
  const named: Record<string, readonly string[] | undefined> = {
    'origin.regions': origin.regions,
    'distribution.regions': distribution.regions,
    'distribution.prewarm': distribution.prewarm,
    'path.via': path.via,
  };
  const missing = Object.entries(named).flatMap(([field, regions]) =>
    (regions ?? []).filter((region) => !known.has(region)).map((region) => `${region} (${field})`),
  );
  if (missing.length > 0) {
    return { status: 'False', reason: REASON.regionNotFound, message: `No MediaNode is in region ${listed(missing)}.` };
  }
  const existing = new Set(meshes.map(({ metadata }) => metadata.name));
  const gone = [...new Set(nodes.flatMap(({ spec }) => spec.mesh ?? []))].filter((name) => !existing.has(name)).sort();
  if (gone.length > 0 && known.size > 1) {
    const message = `RelayMesh ${listed(gone)} does not exist: nodes go on with the routes they hold, and get no new ones. Create it again.`;
    return { status: 'False', reason: REASON.meshNotFound, message };
  }
  return { status: 'True', reason: REASON.resolvedRefs, message: 'Every region named has nodes.' };
}

function programmedVerdict({ route, nodes }: RouteObservation): Verdict {
  const key = pathPolicyKey(route.spec.path);
  const regions = new Set(nodes.map(({ spec }) => spec.region));
  const isRouted = nodes.some(({ spec }) => spec.routes?.some(({ policy }) => policy === key));
  if (key !== DEFAULT_PATH_POLICY_KEY && regions.size > 1 && !isRouted) {
    const message = `No node holds a route of policy ${key}: no path satisfies spec.path, or the mesh has not planned it yet.`;
    return { status: 'False', reason: REASON.noRoute, message };
  }
  const carriers = carriersOf(route, nodes);
  if (carriers.length === 0)
    return {
      status: 'True',
      reason: REASON.noActiveStreams,
      message: 'No stream is active; the next one will follow this route.',
    };
  const behind = carriers.filter((node) => !hasAcknowledged(node)).map(({ metadata }) => metadata.name);
  if (behind.length > 0)
    return { status: 'False', reason: REASON.pending, message: `Not acknowledged yet by ${listed(behind)}.` };
  return { status: 'True', reason: REASON.programmed, message: 'Every node that carries its streams runs it.' };
}

/** Nodes on the paths of its active streams, as far as they still exist. */
function carriersOf({ status }: StreamRoute, nodes: readonly MediaNode[]): MediaNode[] {
  const streams = status?.streams ?? [];
  const names = new Set(streams.flatMap(({ origin, paths }) => [origin.node, ...(paths ?? []).flatMap(({ hops }) => hops)]));
  return nodes.filter(({ metadata }) => names.has(metadata.name));
}

function hasAcknowledged({ metadata, status }: MediaNode): boolean {
  return (status?.programmedGeneration ?? -1) >= (metadata.generation ?? Infinity);
}

function readyVerdict(route: StreamRoute, parts: Record<'accepted' | 'resolvedRefs' | 'programmed', Verdict>): Verdict {
  if (!findCondition(route.status?.conditions, CONDITION.ready))
    return { status: 'Unknown', reason: REASON.observing, message: 'Seen for the first time.' };
  // Nodes acknowledge each new route a moment after it is planned; streams go on meanwhile, so that alone does not undo Ready.
  const others = [parts.accepted, parts.resolvedRefs].every(({ status }) => status === 'True');
  if (others && parts.programmed.reason === REASON.pending && isReadyFor(route, route.metadata.generation)) return READY;
  const failing = Object.values(parts).find(({ status }) => status !== 'True');
  if (failing) return { status: 'False', reason: failing.reason, message: failing.message };
  return READY;
}

const READY: Verdict = { status: 'True', reason: REASON.ready, message: 'Accepted and programmed.' };

function isReadyFor({ status }: StreamRoute, generation: number | undefined): boolean {
  const ready = findCondition(status?.conditions, CONDITION.ready);
  return ready?.status === 'True' && ready.observedGeneration === generation;
}

function readyEvents(old: readonly Condition[] | undefined, conditions: readonly Condition[]): EventInput[] {
  const before = findCondition(old, CONDITION.ready);
  const after = findCondition(conditions, CONDITION.ready);
  if (!before || !after || before.status === after.status) return [];
  if (after.status === 'True') return [{ type: 'Normal', reason: EVENT.becameReady, message: after.message }];
  return [{ type: 'Warning', reason: EVENT.becameNotReady, message: after.message }];
}

function listed(names: readonly string[]): string {
  const rest = names.length - MAX_NAMED;
  return names.slice(0, MAX_NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
