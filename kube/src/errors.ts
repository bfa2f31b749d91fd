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

/** Reasons of errors that the client itself detects (code 0). */
export type LocalReason =
  /** Nothing was sent: connection refused, unknown host name, TLS handshake failed. */
  | 'ConnectionFailed'
  /** The connection broke; it is unknown whether the server executed the request. */
  | 'ConnectionLost'
  /** No answer in time; it is unknown whether the server executed the request. */
  | 'Timeout'
  /** A watch received no event and no bookmark for `inactivityMs`. */
  | 'Inactive'
  /** The answer does not follow the API's conventions. */
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

  /** Parses the body of an answer, which may not be a Status: proxies and load balancers answer too. */
  static fromAnswer(code: number, body: string, request: string, retryAfterSeconds?: number): KubeError {
    const status = parseStatus(body);
    const text = status?.message ?? (body.slice(0, 200).trim() || `HTTP ${code}`);
    return new KubeError(status?.code ?? code, status?.reason ?? (REASONS[code] || 'Unknown'), `${request}: ${text}`, {
      details: status?.details,
      retryAfterSeconds,
    });
  }
}

/** The request was not sent because this process does not lead, or cannot be sure that it still does. */
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
/** Another client changed the object first, a precondition failed, or another manager owns an applied field. */
export const isConflict = (error: unknown): boolean =>
  error instanceof KubeError && error.code === 409 && error.reason !== 'AlreadyExists';
/** The resourceVersion or continue token has expired: list again. */
export const isGone = (error: unknown): boolean => error instanceof KubeError && error.code === 410;
export const isInvalid = (error: unknown): boolean => error instanceof KubeError && error.code === 422;

/** Not found, timeout, conflict and too many requests. */
const TRANSIENT_CODES: readonly number[] = [404, 408, 409, 429];

/** True when the API rejected the content of a write (invalid, or forbidden by a policy, quota or role): an unchanged retry fails again. */
export const isRefusal = (error: unknown): error is KubeError =>
  error instanceof KubeError && error.code >= 400 && error.code < 500 && !TRANSIENT_CODES.includes(error.code);

/** True for a failure that a later retry may resolve: no answer, a conflict with another writer, too many requests. */
export const isTransient = (error: unknown): boolean =>
  error instanceof KubeError && (error.code === 0 || error.code === 429 || isConflict(error));

/** True when a failed write may have been executed nevertheless (no answer, or a server error). */
export function outcomeUnknown(error: unknown): boolean {
  if (error instanceof NotLeaderError) return false;
  if (!(error instanceof KubeError)) return true; // aborted by the caller, or a client error after sending
  if (error.code === 0) return error.reason !== 'ConnectionFailed';
  return error.code >= 500 && error.code !== 503;
}
