import { createLogger, type Logger } from '@millrace/service';

/** A logger that keeps its lines for the test and prints nothing. */
export function quietLogger(level = 'debug'): {
  logger: Logger;
  lines: { msg: string; level: string; [field: string]: unknown }[];
} {
  const lines: { msg: string; level: string }[] = [];
  const logger = createLogger(
    { service: 'test', level },
    { write: (line: string) => void lines.push(JSON.parse(line) as { msg: string; level: string }) },
  );
  return { logger, lines };
}
