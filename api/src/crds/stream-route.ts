// Generated from crds/*.yaml by `npm run generate`. Change it there.
import type { Condition } from './condition.ts';
import type { CustomResource, ResourceMeta } from './resource.ts';

export const STREAM_ROUTE_KIND = 'StreamRoute';

/** Where the API serves it. */
export const streamRoutes: CustomResource<StreamRoute> = {
  group: 'millrace.dev',
  version: 'v1alpha1',
  plural: 'streamroutes',
  kind: STREAM_ROUTE_KIND,
  namespaced: true,
};

/** Where streams may be published and played, over which path, and by whom. Streams that no StreamRoute matches use the defaults of its fields. */
export interface StreamRoute {
  apiVersion?: 'millrace.dev/v1alpha1';
  kind?: 'StreamRoute';
  metadata: ResourceMeta;
  spec: StreamRouteSpec;
  status?: StreamRouteStatus;
}

/** What holds for the streams. For each stream one StreamRoute counts - the one with the highest priority, then the most specific pattern, then the oldest, then the first by name. */
export interface StreamRouteSpec {
  /** Names as app/name, or patterns in which * stands for any run of characters except a slash, such as live/*. */
  streams: string[];
  /** Higher wins over lower where several StreamRoutes match. Default: 0. */
  priority: number;
  /** Publishing. */
  origin: StreamRouteOrigin;
  /** Where viewers are served. */
  distribution: StreamRouteDistribution;
  /** Which path the streams take between regions. Until the operator has planned it, viewers of a stream with via or avoid wait up to 3 s and are then told to try again; others are served over the default path. */
  path: StreamRoutePath;
  /** Limits of what is published. */
  quality: StreamRouteQuality;
  /** Who may publish and play. */
  access: StreamRouteAccess;
}

/** Publishing. */
export interface StreamRouteOrigin {
  /** Regions where publishers are taken. Absent or empty means all. */
  regions?: string[];
  /** What a second publisher of a live name gets - Reject refuses it, Takeover ends the first. Default: "Reject". */
  onDuplicate: 'Reject' | 'Takeover';
}

/** Where viewers are served. */
export interface StreamRouteDistribution {
  /** Regions where viewers are served. Absent or empty means all. */
  regions?: string[];
  /** Regions that fetch the stream as soon as it is published, before the first viewer. */
  prewarm?: string[];
  /** How long a node keeps a stream after its last viewer left, s. Default: 10. */
  lingerSeconds: number;
}

/** Which path the streams take between regions. Until the operator has planned it, viewers of a stream with via or avoid wait up to 3 s and are then told to try again; others are served over the default path. */
export interface StreamRoutePath {
  /** LowestLatency counts time, jitter and loss, LowestCost mainly the price of egress, Balanced both. Default: "LowestLatency". */
  policy: 'LowestLatency' | 'LowestCost' | 'Balanced';
  /** Regions that every route must cross, in order from the publisher. */
  via?: string[];
  /** What routes must not cross between their ends. */
  avoid?: StreamRoutePathAvoid;
}

/** What routes must not cross between their ends. */
export interface StreamRoutePathAvoid {
  /** Regions that no relay between the ends may be in. */
  regions?: string[];
  /** Providers that no relay between the ends may belong to. */
  providers?: string[];
}

/** Limits of what is published. */
export interface StreamRouteQuality {
  /** Bit rate that publishers are asked to stay below, kbit/s. Absent means no limit. */
  maxPublishKbps?: number;
}

/** Who may publish and play. */
export interface StreamRouteAccess {
  /** Token asks publishers for a token from control, Public takes anybody. Default: "Token". */
  publish: 'Token' | 'Public';
  /** Token asks viewers for a token from control, Public serves anybody. Default: "Token". */
  play: 'Token' | 'Public';
}

/** What the streams do. Runtime fields are written by control, conditions and policyKey by the operator. */
export interface StreamRouteStatus {
  /** The metadata.generation that the conditions answer to. */
  observedGeneration?: number;
  /** Key of the path policy, as in the routes of RelayMesh status; "default" where path says nothing. */
  policyKey?: string;
  /** Streams published now that this StreamRoute counts for. */
  activeStreams?: number;
  /** Viewers of them, in all regions. */
  viewers?: number;
  /** The streams with the most viewers, at most 32. */
  streams?: StreamRouteStatusStream[];
  /** Accepted, ResolvedRefs, Programmed and the summary Ready. */
  conditions?: Condition[];
}

/** One stream. */
export interface StreamRouteStatusStream {
  /** Its name, app/name. */
  name: string;
  /** Number of the present publication; grows with each new publisher of the name. */
  epoch: number;
  /** When it was published. */
  since?: string;
  /** Where it is published. */
  origin: StreamRouteStatusStreamOrigin;
  /** Viewers, in all regions. */
  viewers?: number;
  /** Whether what the publisher sends is of use, judged by what passes the forwarding-control gate of its node. */
  publisher?: StreamRouteStatusStreamPublisher;
  /** The paths it takes, by region of the viewers, at most 32. */
  paths?: StreamRouteStatusStreamPath[];
}

/** Where it is published. */
export interface StreamRouteStatusStreamOrigin {
  /** Region. */
  region: string;
  /** Name of the MediaNode. */
  node: string;
}

/** Whether what the publisher sends is of use, judged by what passes the forwarding-control gate of its node. */
export interface StreamRouteStatusStreamPublisher {
  /** Receiving when viewers get media; Connecting at first; otherwise what is wrong. */
  state: 'Connecting' | 'Receiving' | 'WaitingForKeyframe' | 'NoKnownSsrc' | 'UnknownPayloadType' | 'Unreadable' | 'Silent';
  /** When this state began. */
  since?: string;
  /** What is wrong and what to do about it. */
  message?: string;
}

/** The path into one region, as its node with the most viewers measures it. */
export interface StreamRouteStatusStreamPath {
  /** Region of the viewers. */
  region: string;
  /** Nodes from the origin to the one that serves the viewers. */
  hops: string[];
  /** Round trip over all its trunks, ms. */
  rttMs?: number;
  /** Loss over all its trunks, percent. */
  lossPercent?: number;
}
