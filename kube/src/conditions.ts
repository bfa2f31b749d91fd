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
 * The list with this condition in it. lastTransitionTime is `nowMs` (since the epoch) when the status differs from before, and stays
 * otherwise. Returns the very same list when nothing changes.
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

/** True when the condition is there and True. */
export function isTrue(list: readonly { type: string; status: string }[] | undefined, type: string): boolean {
  return findCondition(list, type)?.status === 'True';
}

/** metav1.Time: whole seconds. `ms` since the epoch. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** metav1.MicroTime: exactly six digits (apimachinery refuses to read others). `ms` since the epoch. */
export function formatMicroTime(ms: number): string {
  const micros = Math.floor((ms % 1) * 1000);
  return new Date(ms).toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`);
}
