import { DEFAULT_PATH_POLICY_KEY, type NodeSettings, type StreamState } from '@millrace/api';
import { hopTo, type Hop } from '@millrace/api/trunk';

export type RoutePlan = { ok: true; path: Hop[]; backup: Hop[] } | { ok: false; reason: string };

/**
 * Plans how this node reaches a stream's origin: a primary path and, if the routes have a second one, a backup. A path lists upstream hops, nearest first and
 * the origin last. An origin in the same region is reached directly. While the stream's path policy has no route yet, as just after its StreamRoute was
 * created, the default route applies or, without one, the direct path, unless the policy requires its own path.
 */
export function planRoute(state: StreamState, settings: Pick<NodeSettings, 'self' | 'routes' | 'peers'>): RoutePlan {
  const { origin, policy } = state;
  const self = settings.self.node;
  if (origin.node === self) return { ok: true, path: [], backup: [] };
  const last = hopTo(origin);
  if (origin.region === settings.self.region) return { ok: true, path: [last], backup: [] };

  const addresses = new Map(settings.peers.map((peer) => [peer.node, hopTo(peer)]));
  const pathsUnder = (policyKey: string): Hop[][] => {
    const route = settings.routes.find((candidate) => candidate.originRegion === origin.region && candidate.policy === policyKey);
    return (route?.paths ?? []).flatMap(({ hops }) => {
      const upstream = hops.filter((node) => node !== self && node !== origin.node).map((node) => addresses.get(node));
      return upstream.every((hop) => hop !== undefined) ? [[...upstream, last] as Hop[]] : [];
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
