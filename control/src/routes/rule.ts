import type { StreamPolicy } from '@millrace/api';

/** A StreamRoute as control needs it. */
export interface RouteRule {
  name: string;
  priority: number;
  /** metadata.creationTimestamp, RFC 3339 in UTC: the lesser string is the earlier time. */
  createdAt: string;
  patterns: readonly string[];
  /** Regions where such a stream may be published; absent: all. */
  originRegions?: readonly string[];
  /** Regions whose edges hold such a stream before anyone watches; absent: none. */
  prewarmRegions?: readonly string[];
  policy: StreamPolicy;
}
