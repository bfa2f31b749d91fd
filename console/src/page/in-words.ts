import { MediaProblem } from '@millrace/sdk';

/** An error as a sentence: what is wrong. */
export function whatIsWrong(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}${/[.!?]$/.test(message) ? '' : '.'}`;
}

/** What is wrong, and what may help where that is known. */
export function inWords(error: unknown): string {
  return error instanceof MediaProblem ? `${whatIsWrong(error)} ${error.remedy}` : whatIsWrong(error);
}
