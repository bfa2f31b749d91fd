import type { RoutePrecedence, StreamPolicy } from '@millrace/api';

/** The part of a StreamRoute that control uses. */
export interface RouteRule extends RoutePrecedence {
  patterns: readonly string[];
  /** Regions where the streams may be published; absent: all. */
  originRegions?: readonly string[];
  /** Regions that hold the streams before the first viewer; absent: none. */
  prewarmRegions?: readonly string[];
  policy: StreamPolicy;
}
