/** A node refused a request; the message is the node's own (RFC 9457 problem details if it sent them). */
export class SignalingError extends Error {
  readonly status: number;
  /** Seconds after which to try again, from Retry-After. */
  readonly retryAfterS: number | undefined;

  constructor(status: number, message: string, retryAfterS?: number) {
    super(message);
    this.name = 'SignalingError';
    this.status = status;
    this.retryAfterS = retryAfterS;
  }

  /** The request itself is refused, so neither another node nor a retry can help. */
  get isFinal(): boolean {
    return [400, 401, 403, 405, 406, 409, 415, 422].includes(this.status);
  }
}
