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

/** Settings of the streams. For each stream one StreamRoute counts - the one with the highest priority, then the most specific pattern, then the oldest, then the first by name. */
export interface StreamRouteSpec {
  /** Names as app/name, or patterns in which * stands for any run of characters except a slash, such as live/*. */
  streams: string[];
  /** Higher wins over lower where several StreamRoutes match. Default: 0. */
  priority: number;
  /** Settings of publishing. */
  origin: StreamRouteOrigin;
  /** Settings of playing. */
  distribution: StreamRouteDistribution;
  /** Which path the streams take between regions. Until the operator has planned it, viewers of a stream with via or avoid wait up to 3 s and are then told to try again; others are served over the default path. */
  path: StreamRoutePath;
  /** Limits of what is published. */
  quality: StreamRouteQuality;
  /** Who may publish and play. */
  access: StreamRouteAccess;
}

/** Settings of publishing. */
export interface StreamRouteOrigin {
  /** Regions where publishers are accepted. Absent or empty means all. */
  regions?: string[];
  /** How a second publisher of a live name is treated - Reject refuses it, Takeover ends the first one. Default: "Reject". */
  onDuplicate: 'Reject' | 'Takeover';
}

/** Settings of playing. */
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
  /** Bit rate of a whole stream, kbit/s. WebRTC publishers are asked to stay below it. Of a publisher that does not, the node withholds the highest layers, then video frames up to a keyframe, then audio; one that stays above it for 30 s is ended. Absent means no limit. */
  maxPublishKbps?: number;
}

/** Who may publish and play. */
export interface StreamRouteAccess {
  /** Token requires a token from control, Public lets anybody publish. Default: "Token". */
  publish: 'Token' | 'Public';
  /** Token requires a token from control, Public lets anybody play. Default: "Token". */
  play: 'Token' | 'Public';
}

/** Observed state of the streams. Control writes the runtime fields, the operator writes conditions and policyKey. */
export interface StreamRouteStatus {
  /** The metadata.generation from which the conditions were computed. */
  observedGeneration?: number;
  /** Key of the path policy, as in the routes of RelayMesh status; "default" where path says nothing. */
  policyKey?: string;
  /** Number of published streams to which this StreamRoute applies. */
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
  /** Number of the current publication; grows with each new publisher of the name. */
  epoch: number;
  /** When it was published. */
  since?: string;
  /** Where it is published. */
  origin: StreamRouteStatusStreamOrigin;
  /** Viewers, in all regions. */
  viewers?: number;
  /** Whether the publisher sends usable media, judged by the packets that pass the forwarding-control gate of its node. */
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

/** Whether the publisher sends usable media, judged by the packets that pass the forwarding-control gate of its node. */
export interface StreamRouteStatusStreamPublisher {
  /** Receiving when viewers get media; Connecting at first; otherwise what is wrong. */
  state: 'Connecting' | 'Receiving' | 'WaitingForKeyframe' | 'NoKnownSsrc' | 'UnknownPayloadType' | 'Unreadable' | 'Silent';
  /** When this state began. */
  since?: string;
  /** The problem and its remedy. */
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
