/** The condition of a paused object. The rest of its status is from before the pause. */
export const PAUSED_CONDITION = {
  type: 'Paused',
  status: 'True',
  reason: 'Paused',
  message:
    'Annotated millrace.dev/paused: the operator changes nothing, and the rest of this status stands still, until it is removed.',
} as const;

interface Annotated {
  metadata: { annotations?: Record<string, string> };
}

/** Whether the operator must leave an object alone: the annotation is set to anything but "false". */
export function isPaused({ metadata }: Annotated): boolean {
  return (metadata.annotations?.['millrace.dev/paused'] ?? 'false') !== 'false';
}
