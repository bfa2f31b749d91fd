/** metav1.Condition. */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  /** CamelCase, from a declared constant. */
  reason: string;
  message: string;
  observedGeneration?: number;
  /** RFC 3339, seconds. */
  lastTransitionTime: string;
}

/**
 * Returns the list with this condition set. lastTransitionTime becomes `nowMs` (ms since the epoch) when the status changes, and is kept
 * otherwise. Returns the same array when nothing changes.
 */
export function setCondition(
  list: readonly Condition[] | undefined,
  condition: Omit<Condition, 'lastTransitionTime'>,
  nowMs: number,
): Condition[] {
  const conditions = (list ?? []) as Condition[];
  const index = conditions.findIndex(({ type }) => type === condition.type);
  const old = conditions[index];
  const lastTransitionTime = old?.status === condition.status ? old.lastTransitionTime : formatTime(nowMs);
  const next = { ...condition, lastTransitionTime };
  if (!old) return [...conditions, next];
  const same =
    old.status === next.status &&
    old.reason === next.reason &&
    old.message === next.message &&
    old.observedGeneration === next.observedGeneration;
  return same ? conditions : conditions.with(index, next);
}

export function findCondition<C extends { type: string }>(list: readonly C[] | undefined, type: string): C | undefined {
  return list?.find((condition) => condition.type === type);
}

/** True when the condition exists and its status is True. */
export function isTrue(list: readonly { type: string; status: string }[] | undefined, type: string): boolean {
  return findCondition(list, type)?.status === 'True';
}

/** Formats a metav1.Time, which has whole seconds. `ms` is since the epoch. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Formats a metav1.MicroTime with exactly six fractional digits (apimachinery rejects any other number). `ms` is since the epoch. */
export function formatMicroTime(ms: number): string {
  const micros = Math.floor((ms % 1) * 1000);
  return new Date(ms).toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`);
}
