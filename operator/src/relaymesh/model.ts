import type { Challenge, CostWeights, Hysteresis, LinkReport, Path, PathPolicy } from './routing/index.ts';

/** The planner's input, extracted from the resources into plain data. */
export interface MeshObservation {
  readonly nodes: readonly MeshNode[];
  readonly reports: readonly LinkReport[];
  readonly routing: RoutingRules;
  /** The path policies in force, the default one included. */
  readonly policies: readonly NamedPolicy[];
  /** Preconfigured routes of the mesh: they stand in for the default policy between two regions. */
  readonly preconfigured: readonly PreconfiguredRoute[];
  /** Keys (`routeKey`) of the routes that streams take now, as far as StreamRoutes show it. */
  readonly inUse: ReadonlySet<string>;
  /** When the current route between two regions was chosen (ms), by `routeKey`. Read from status, so that it survives a restart. */
  readonly since: ReadonlyMap<string, number>;
  /** Better paths under observation. Lost at a restart, which only delays a switch. */
  readonly challenges: ReadonlyMap<string, Challenge>;
}

export type Role = 'push' | 'pull' | 'relay';

export interface MeshNode {
  readonly name: string;
  readonly edge: string;
  readonly region: string;
  readonly provider: string;
  readonly roles: ReadonlySet<Role>;
  readonly priceCentsPerGb: number;
  /** Share of its egress capacity in use, percent; undefined: it has reported no load. */
  readonly utilizationPercent: number | undefined;
  /** Connected to a live replica of control, so its reports are current. */
  readonly fresh: boolean;
  /** It has connected at least once. A node that never has (its pod cannot start, say) carries nothing; its MediaEdge reports why. */
  readonly seen: boolean;
  /** Cordoned or draining: takes no new route. */
  readonly leaving: boolean;
  /** What MediaNode.spec holds now: the planner's memory. */
  readonly relays: readonly string[];
  readonly routes: readonly NodeRoute[];
  /** The node runs what its spec says. */
  readonly acknowledged: boolean;
}

interface RoutingRules {
  readonly maxHops: number;
  /** Paths for each route, the primary included. */
  readonly paths: number;
  readonly weights: CostWeights;
  readonly hysteresis: Hysteresis;
}

export interface NamedPolicy {
  readonly key: string;
  readonly policy: PathPolicy;
  /** Regions to pass, from the origin to the viewer. */
  readonly via: readonly string[];
  readonly avoidRegions: readonly string[];
  readonly avoidProviders: readonly string[];
}

interface PreconfiguredRoute {
  readonly from: string;
  readonly to: string;
  readonly via: readonly string[];
}

/** A route as stored in a viewer's node: relays nearest to it first, the relay in the origin's region last. */
export interface NodeRoute {
  readonly originRegion: string;
  readonly policy: string;
  readonly paths: readonly { readonly hops: readonly string[]; readonly costMs: number }[];
}

/** What the operator programs into one node. */
export interface NodeProgram {
  readonly relays: readonly string[];
  readonly peers: readonly { readonly node: string; readonly region: string }[];
  readonly routes: readonly NodeRoute[];
}

/** The route between two regions under one policy, for status. */
export interface RegionRoute {
  readonly from: string;
  readonly to: string;
  readonly policy: string;
  readonly primary: Path;
  readonly backup: Path | undefined;
  /** Every node that needs the route runs it. */
  readonly programmed: boolean;
  readonly since: number;
}
