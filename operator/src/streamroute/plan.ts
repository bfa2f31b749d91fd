import { DEFAULT_PATH_POLICY_KEY, pathPolicyKey, type Condition, type MediaNode, type StreamRoute } from '@millrace/api';
import { findCondition, setCondition, type EventInput } from '@millrace/kube';
import { PAUSED_CONDITION } from '../paused.ts';
import { CONDITION, EVENT, REASON } from './reasons.ts';
import { namedRegions, type Shadowed } from './route-index.ts';

/** Everything the status of a StreamRoute depends on. */
export interface RouteObservation {
  readonly route: StreamRoute;
  /** Its patterns that others shadow. */
  readonly shadowed: readonly Shadowed[];
  /** Nodes on the paths of its active streams, as far as they exist. */
  readonly carriers: readonly MediaNode[];
  /** The other objects of its namespace. */
  readonly surroundings: Surroundings;
  /** ms since the epoch. */
  readonly nowMs: number;
}

export interface Surroundings {
  readonly regionCount: number;
  readonly hasRegion: (region: string) => boolean;
  /** RelayMeshes that nodes name and that do not exist, in the order of their names. */
  readonly goneMeshes: readonly string[];
  /** Whether a node holds a route of this path policy. */
  readonly isRouted: (policyKey: string) => boolean;
}

export interface RoutePlan {
  /** The operator's part of status; the rest is control's. */
  readonly status: Required<Pick<NonNullable<StreamRoute['status']>, 'policyKey' | 'conditions'>> & {
    observedGeneration?: number;
  };
  readonly events: readonly EventInput[];
}

type RouteCondition = Pick<Condition, 'status' | 'reason' | 'message'>;

const MAX_NAMED = 5;
const OWN_CONDITIONS: readonly string[] = [...Object.values(CONDITION), PAUSED_CONDITION.type];

/** The desired status of a StreamRoute. Equal input gives an equal plan. */
export function planRoute(observation: RouteObservation): RoutePlan {
  const { route, nowMs } = observation;
  const accepted = acceptedVerdict(observation);
  const resolvedRefs = resolvedRefsVerdict(observation);
  const programmed = programmedVerdict(observation);
  const ready = readyVerdict(route, { accepted, resolvedRefs, programmed });
  const verdicts: [string, RouteCondition][] = [
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

/** The status of a paused route: unchanged, plus the condition Paused. */
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

function acceptedVerdict({ route, shadowed }: RouteObservation): RouteCondition {
  if (shadowed.length === 0) return { status: 'True', reason: REASON.accepted, message: 'The spec is valid and counts.' };
  const named = listed(shadowed.map(({ pattern, by }) => `${pattern} (by ${by})`));
  if (shadowed.length < route.spec.streams.length)
    return { status: 'True', reason: REASON.partlyConflicted, message: `Other StreamRoutes win for ${named}.` };
  const message = `Other StreamRoutes win for every pattern: ${named}. Raise priority, or remove one of them.`;
  return { status: 'False', reason: REASON.conflicted, message };
}

/** False when a region that the route names has no node, or a mesh is gone. What the route avoids need not exist. */
function resolvedRefsVerdict({ route, surroundings }: RouteObservation): RouteCondition {
  const { regionCount, hasRegion, goneMeshes } = surroundings;
  const missing = namedRegions(route).flatMap(([field, region]) => (hasRegion(region) ? [] : [`${region} (${field})`]));
  if (missing.length > 0) {
    return { status: 'False', reason: REASON.regionNotFound, message: `No MediaNode is in region ${listed(missing)}.` };
  }
  if (goneMeshes.length > 0 && regionCount > 1) {
    const message = `RelayMesh ${listed(goneMeshes)} does not exist: nodes go on with the routes they hold, and get no new ones. Create it again.`;
    return { status: 'False', reason: REASON.meshNotFound, message };
  }
  return { status: 'True', reason: REASON.resolvedRefs, message: 'Every region named has nodes.' };
}

function programmedVerdict({ route, carriers, surroundings }: RouteObservation): RouteCondition {
  const key = pathPolicyKey(route.spec.path);
  if (key !== DEFAULT_PATH_POLICY_KEY && surroundings.regionCount > 1 && !surroundings.isRouted(key)) {
    const message = `No node holds a route of policy ${key}: no path satisfies spec.path, the mesh has not planned it yet, or it has no room (see leftOut in the status of the RelayMesh).`;
    return { status: 'False', reason: REASON.noRoute, message };
  }
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

/** The generations must be equal: a higher acknowledged one belongs to an earlier object of the same name. */
function hasAcknowledged({ metadata, status }: MediaNode): boolean {
  return status?.programmedGeneration !== undefined && status.programmedGeneration === metadata.generation;
}

function readyVerdict(
  route: StreamRoute,
  parts: Record<'accepted' | 'resolvedRefs' | 'programmed', RouteCondition>,
): RouteCondition {
  if (!findCondition(route.status?.conditions, CONDITION.ready))
    return { status: 'Unknown', reason: REASON.observing, message: 'Seen for the first time.' };
  // Nodes acknowledge each new route a moment after it is planned; streams go on meanwhile, so that alone does not undo Ready.
  const others = [parts.accepted, parts.resolvedRefs].every(({ status }) => status === 'True');
  if (others && parts.programmed.reason === REASON.pending && isReadyFor(route, route.metadata.generation)) return READY;
  const failing = Object.values(parts).find(({ status }) => status !== 'True');
  if (failing) return { status: 'False', reason: failing.reason, message: failing.message };
  return READY;
}

const READY: RouteCondition = { status: 'True', reason: REASON.ready, message: 'Accepted and programmed.' };

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
