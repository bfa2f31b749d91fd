import type { RoutePrecedence, StreamPolicy } from '@millrace/api';

/** The part of a StreamRoute that control uses. */
export interface RouteRule extends RoutePrecedence {
  patterns: readonly string[];
  /** Regions where such a stream may be published; absent: all. */
  originRegions?: readonly string[];
  /** Regions whose edges hold such a stream before anyone watches; absent: none. */
  prewarmRegions?: readonly string[];
  policy: StreamPolicy;
}
