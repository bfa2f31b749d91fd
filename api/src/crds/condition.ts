// Generated from crds/*.yaml by `npm run generate`. Change it there.

/** One aspect of the state, as metav1.Condition. */
export interface Condition {
  /** Name of the aspect. */
  type: string;
  /** Whether it holds. */
  status: 'True' | 'False' | 'Unknown';
  /** The metadata.generation from which it was computed. */
  observedGeneration?: number;
  /** When status last changed. */
  lastTransitionTime: string;
  /** Reason as one CamelCase word. */
  reason: string;
  /** Human-readable explanation. */
  message: string;
}
