import { constants } from 'node:os';
import { CannotListen } from './cannot-listen.ts';
import { ConfigError, HelpRequested } from './config/index.ts';
import type { Logger } from './logger.ts';

export interface ShutdownOptions {
  /** After this long the process ends anyway, with status 1. */
  timeoutMs: number;
}

/** On the first SIGTERM or SIGINT runs `fn`, then ends the process: 0 when it is done, 1 when it failed or took too long. A second signal ends it at once. */
export function onShutdown(logger: Logger, fn: (signal: NodeJS.Signals) => Promise<void>, options: ShutdownOptions): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) {
      logger.warn({ signal }, 'second signal: ending at once');
      process.exit(128 + constants.signals[signal]);
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    setTimeout(() => {
      logger.error({ timeoutMs: options.timeoutMs }, 'stopping took too long');
      process.exit(1);
    }, options.timeoutMs);
    fn(signal).then(
      () => {
        logger.info('stopped');
        process.exit(0);
      },
      (err: unknown) => {
        logger.error({ err }, 'stopping failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** Runs a program's main function: --help prints and ends with 0, wrong configuration with 2 and every error at once, other failures with 1. */
export function runMain(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    if (error instanceof HelpRequested) {
      process.stdout.write(`${error.message}\n`);
      process.exit(0);
    }
    process.stderr.write(`${textOf(error)}\n`);
    process.exit(error instanceof ConfigError ? 2 : 1);
  });
}

function textOf(error: unknown): string {
  if (error instanceof ConfigError || error instanceof CannotListen) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
