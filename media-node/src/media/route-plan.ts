import { DEFAULT_PATH_POLICY_KEY, type NodeSettings, type StreamState } from '@millrace/api';

/** Paths by the names of their nodes. */
export type RoutePlan = { ok: true; path: string[]; backup: string[] } | { ok: false; reason: string };

/**
 * Plans how this node reaches a stream's origin: a primary path and, if the routes have a second one, a backup. A path lists upstream hops, nearest first and
 * the origin last. An origin in the same region is reached directly. While the stream's path policy has no route yet, as just after its StreamRoute was
 * created, the default route applies or, without one, the direct path, unless the policy requires its own path.
 */
export function planRoute(state: StreamState, settings: Pick<NodeSettings, 'self' | 'routes' | 'peers'>): RoutePlan {
  const { origin, policy } = state;
  const self = settings.self.node;
  if (origin.node === self) return { ok: true, path: [], backup: [] };
  const last = origin.node;
  if (origin.region === settings.self.region) return { ok: true, path: [last], backup: [] };

  const known = new Set(settings.peers.map((peer) => peer.node));
  const pathsUnder = (policyKey: string): string[][] => {
    const route = settings.routes.find((candidate) => candidate.originRegion === origin.region && candidate.policy === policyKey);
    return (route?.paths ?? []).flatMap(({ hops }) => {
      const upstream = hops.filter((node) => node !== self && node !== last);
      return upstream.every((node) => known.has(node)) ? [[...upstream, last]] : [];
    });
  };
  const own = pathsUnder(policy.policyKey);
  const [path, backup] = own.length > 0 || policy.pathRequired ? own : pathsUnder(DEFAULT_PATH_POLICY_KEY);
  if (path) return { ok: true, path, backup: backup ?? [] };
  if (!policy.pathRequired) return { ok: true, path: [last], backup: [] };
  return { ok: false, reason: `no route from region ${origin.region} satisfies via and avoid of the stream's StreamRoute yet` };
}

/**
 * The route to use while no path of the plan works: directly to the origin, with the planned path as the backup, until the operator has computed other routes.
 * Undefined when the plan is already direct or the stream's path policy forbids the direct path.
 */
export function detourOf(plan: RoutePlan, { policy }: Pick<StreamState, 'policy'>): (RoutePlan & { ok: true }) | undefined {
  if (!plan.ok || plan.path.length < 2 || policy.pathRequired) return undefined;
  return { ok: true, path: plan.path.slice(-1), backup: plan.path };
}

/** Whether two plans are equal. */
export function isSameRoute(a: RoutePlan, b: RoutePlan): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
