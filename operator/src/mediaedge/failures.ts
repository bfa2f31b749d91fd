import type { MediaEdge } from '@millrace/api';
import type { Pod } from '@millrace/kube';
import type { Failing } from './model.ts';
import { LABEL } from './names.ts';

/**
 * Tracks whether the pods of an edge keep failing. Each failed pod is replaced by one that has not reached its deadline yet, so the pods
 * alone do not show that. The edge stops failing when every node is ready, or when no pod failed for one progress deadline.
 */
export function observeFailures(
  before: Failing | undefined,
  edge: MediaEdge,
  pods: readonly Pod[],
  templateHash: string,
  nowMs: number,
): Failing | undefined {
  const failed = pods.find(
    ({ metadata, status }) => status?.phase === 'Failed' && metadata?.labels?.[LABEL.template] === templateHash,
  );
  if (failed) {
    const { reason, message } = failed.status ?? {};
    const last = [failed.metadata?.name, reason, message].filter(Boolean).join(': ').slice(0, 300);
    return { sinceMs: before?.sinceMs ?? nowMs, lastMs: nowMs, last };
  }
  const { ready = 0, desired = 0 } = edge.status ?? {};
  const isOver = ready >= desired || nowMs - (before?.lastMs ?? 0) > edge.spec.update.progressDeadlineSeconds * 1000;
  return isOver ? undefined : before;
}
