/** A description that cannot be accepted: which line, and what to do about it. */
export class SdpError extends Error {
  override readonly name = 'SdpError';
  /** 400: not a usable description. 406: well-formed, but asks for media that cannot be given (RFC 9725 section 4.2). */
  readonly status: 400 | 406;
  /** The offending line, cut to 120 characters, or the place where a line is missing. */
  readonly line: string;
  readonly remedy: string;

  constructor(line: string, remedy: string, status: 400 | 406 = 400) {
    const shown = line.length > 120 ? `${line.slice(0, 117)}...` : line;
    super(`${shown}: ${remedy}`);
    this.line = shown;
    this.remedy = remedy;
    this.status = status;
  }
}
