/** Details of a metav1.Status. */
export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: { reason?: string; message?: string; field?: string }[];
  retryAfterSeconds?: number;
}

export interface Status {
  kind?: string;
  status?: string;
  code?: number;
  reason?: string;
  message?: string;
  details?: StatusDetails;
}

/** Reasons of errors that no server sent (code 0). */
export type LocalReason =
  /** Nothing left this machine: connection refused, name unknown, TLS refused. */
  | 'ConnectionFailed'
  /** The connection broke; whether the server did the work is unknown. */
  | 'ConnectionLost'
  /** No answer in time; whether the server did the work is unknown. */
  | 'Timeout'
  /** A watch sent nothing, not even a bookmark, for its inactivity bound. */
  | 'Inactive'
  /** The answer is not what the API promises. */
  | 'BadAnswer';

/** Every failure of a request: the API's Status, or a local reason with code 0. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status code; 0 when no server answered. */
  readonly code: number;
  /** metav1.StatusReason such as NotFound, Conflict, Expired; or a LocalReason. */
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: number,
    reason: string,
    message: string,
    init: { details?: StatusDetails | undefined; retryAfterSeconds?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.reason = reason;
    this.details = init.details;
    this.retryAfterSeconds = init.retryAfterSeconds ?? init.details?.retryAfterSeconds;
  }

  static local(reason: LocalReason, message: string, cause?: unknown): KubeError {
    return new KubeError(0, reason, message, { cause });
  }

  /** From an answer's body, which need not be a Status: proxies and load balancers answer too. */
  static fromAnswer(code: number, body: string, request: string, retryAfterSeconds?: number): KubeError {
    const status = parseStatus(body);
    const text = status?.message ?? (body.slice(0, 200).trim() || `HTTP ${code}`);
    return new KubeError(status?.code ?? code, status?.reason ?? (REASONS[code] || 'Unknown'), `${request}: ${text}`, {
      details: status?.details,
      retryAfterSeconds,
    });
  }
}

/** Refused before it left: this process does not lead (any more), or doubts it. */
export class NotLeaderError extends Error {
  override readonly name = 'NotLeaderError';
}

const REASONS: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function parseStatus(body: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && (value as Status).kind === 'Status' ? value : undefined;
  } catch {
    return undefined;
  }
}

export const isNotFound = (error: unknown): boolean => error instanceof KubeError && error.code === 404;
export const isAlreadyExists = (error: unknown): boolean => error instanceof KubeError && error.reason === 'AlreadyExists';
/** Somebody wrote in between, a precondition does not hold, or another manager owns an applied field. */
export const isConflict = (error: unknown): boolean =>
  error instanceof KubeError && error.code === 409 && error.reason !== 'AlreadyExists';
/** The resourceVersion or continue token is too old: list anew. */
export const isGone = (error: unknown): boolean => error instanceof KubeError && error.code === 410;
export const isInvalid = (error: unknown): boolean => error instanceof KubeError && error.code === 422;

/** Not found, timeout, conflict and too many requests pass by themselves. */
const PASSING_CODES: readonly number[] = [404, 408, 409, 429];

/** True when the API refused a write for what it says (invalid, forbidden by a policy, quota or role): again without a change is of no use. */
export const isRefusal = (error: unknown): error is KubeError =>
  error instanceof KubeError && error.code >= 400 && error.code < 500 && !PASSING_CODES.includes(error.code);

/** True of a failure that passes by itself: no answer, a conflict with another writer, too many requests. */
export const isPassing = (error: unknown): boolean =>
  error instanceof KubeError && (error.code === 0 || error.code === 429 || isConflict(error));

/** True when a failed write may nevertheless have happened (no answer, or the server gave up half-way). */
export function outcomeUnknown(error: unknown): boolean {
  if (error instanceof NotLeaderError) return false;
  if (!(error instanceof KubeError)) return true; // aborted by the caller, or a fault of our own after sending
  if (error.code === 0) return error.reason !== 'ConnectionFailed';
  return error.code >= 500 && error.code !== 503;
}
