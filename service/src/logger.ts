import { pino, type DestinationStream, type Logger } from 'pino';
import { cutStrings } from './cut-strings.ts';
import { describeError } from './describe-error.ts';

export type { Logger };

export interface LoggerOptions {
  /** The part that logs, e.g. `control`; a field of every line. */
  service: string;
  /** pino level; default: the environment's MILLRACE_LOG_LEVEL, else `info`. */
  level?: string;
  /** Fields of every line, e.g. a node id. */
  bindings?: Record<string, unknown>;
}

// A field whose name ends so is a credential at any depth. A work item's name therefore goes under `item`, never under `key`.
const CREDENTIAL_FIELD =
  /("(?:[\w-]*(?:[Tt]oken|[Ss]ecret|[Pp]assword|[Aa]uthorization|[Cc]ookie|[a-z\d_-]Key|_key)|key|TOKEN|SECRET)":)("(?:[^"\\]|\\.)*"|\{[^{}]*\}|\[[^[\]]*\]|-?\d[\d.eE+-]*)/g;
// Credentials inside free text: JWTs, Authorization values, tokens in query strings (WHIP players put them there).
const CREDENTIAL_TEXT =
  /(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]+){0,2}|\b(Bearer|Basic) [\w.~+/=-]+|([?&](?:access_)?(?:token|secret|jwt)=)[^&\s"\\]+/g;
// A session's id is a credential, so a line has only its beginning: enough to follow the session through the logs.
const SESSION = /("(?:session|sessionId)":"|\/sessions\/)((?:[\w.-]+~)?[\w-]{6})[\w-]{10,}/g;

/** Longer strings are cut, so that what a stranger sends can neither fill the log nor the time of the patterns below. */
const MAX_STRING = 2048;

/** Cuts long strings and replaces credentials in a finished JSON log line; the line stays valid JSON. */
function redactLine(line: string): string {
  return cutStrings(line, MAX_STRING)
    .replace(SESSION, '$1$2…')
    .replace(CREDENTIAL_FIELD, '$1"[redacted]"')
    .replace(CREDENTIAL_TEXT, (_match, scheme?: string, query?: string) => `${scheme ? `${scheme} ` : (query ?? '')}[redacted]`);
}

/** Structured logger: JSON lines on stdout, ISO times, the level by name, credentials redacted. */
export function createLogger(options: LoggerOptions, destination?: DestinationStream): Logger {
  const settings = {
    level: options.level ?? process.env['MILLRACE_LOG_LEVEL'] ?? 'info',
    base: { service: options.service, pid: process.pid, ...options.bindings },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: describeError, error: describeError },
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: { streamWrite: redactLine },
  };
  return destination ? pino(settings, destination) : pino(settings);
}
