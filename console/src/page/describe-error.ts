import { MediaProblem } from '@millrace/sdk';

/** The error's message as a sentence. */
export function errorSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}${/[.!?]$/.test(message) ? '' : '.'}`;
}

/** The error's message, followed by its remedy if it has one. */
export function describeError(error: unknown): string {
  return error instanceof MediaProblem ? `${errorSentence(error)} ${error.remedy}` : errorSentence(error);
}
