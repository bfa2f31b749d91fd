/** The node cannot accept a session description. Names the line and the remedy. */
export class SdpError extends Error {
  override readonly name = 'SdpError';
  /** 400: the description is unusable. 406: it is well-formed, but the node cannot provide the requested media (RFC 9725 section 4.2). */
  readonly status: 400 | 406;
  /** The offending line, truncated to 120 characters, or the place where a line is missing. */
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
