interface Annotated {
  metadata: { annotations?: Record<string, string> };
}

/** Whether people asked the operator to leave an object alone: the annotation counts whatever its value, unless that is "false". */
export function isPaused({ metadata }: Annotated): boolean {
  return (metadata.annotations?.['millrace.dev/paused'] ?? 'false') !== 'false';
}
