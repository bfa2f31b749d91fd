import { MediaProblem } from '@millrace/sdk';

/** An error as sentences: what is wrong, and what may help where that is known. */
export function inWords(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const sentence = `${message.charAt(0).toUpperCase()}${message.slice(1)}${/[.!?]$/.test(message) ? '' : '.'}`;
  return error instanceof MediaProblem ? `${sentence} ${error.remedy}` : sentence;
}
