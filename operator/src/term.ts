import type { Clock, Logger } from '@millrace/service';
import type { EventRecorder, Fence, KubeClient, KubeMetrics } from '@millrace/kube';

/** What every controller gets for a leadership term. */
export interface TermDependencies {
  /** Fenced: writes only while this process leads. */
  readonly client: KubeClient;
  readonly fence: Fence;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics?: KubeMetrics | undefined;
}
