import { whyRefused } from './attempts.ts';
import { isRefusal, setCondition, type Condition } from '@millrace/kube';

interface StatusWithConditions {
  observedGeneration?: number;
  conditions?: Condition[];
}

/**
 * Applies a status. When the API rejects it, applies only its conditions, with Ready set to False and the reason: an object must not keep
 * showing its last success when its status cannot be written. Throws whatever `apply` threw.
 */
export async function applyStatus<S extends StatusWithConditions, T>(
  status: S,
  nowMs: number,
  apply: (status: S) => Promise<T>,
): Promise<T> {
  try {
    return await apply(status);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const { observedGeneration, conditions } = status;
    const ready = {
      type: 'Ready',
      status: 'False',
      reason: 'StatusRefused',
      message: `The API refuses this status (${error.reason}), so that only its conditions are shown: ${whyRefused(error)}`,
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
    } as const;
    const reduced: StatusWithConditions = { ...(observedGeneration === undefined ? {} : { observedGeneration }) };
    await apply({ ...reduced, conditions: setCondition(conditions, ready, nowMs) } as S);
    throw error;
  }
}
