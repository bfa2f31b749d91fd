/** Errors of libraries carry whatever they worked on, e.g. ioredis a refused AUTH with its password: only these fields are logged. */
const FIELDS = ['code', 'errno', 'syscall', 'address', 'port', 'status', 'statusCode', 'reason'] as const;
const MAX_DEPTH = 4;
const MAX_ERRORS = 10;

export interface DescribedError {
  type: string;
  message: string;
  stack?: string;
  cause?: DescribedError;
  /** Of an AggregateError, the first ones. */
  errors?: DescribedError[];
  [field: string]: unknown;
}

/** What is logged of an error: its type, message, stack, cause, and simple fields that are known to hold no credential. */
export function describeError(error: unknown): unknown {
  return error instanceof Error ? describe(error, 0) : error;
}

function describe(error: Error, depth: number): DescribedError {
  const described: DescribedError = { type: error.constructor.name, message: error.message };
  if (error.stack !== undefined) described.stack = error.stack;
  for (const field of FIELDS) {
    const value = (error as unknown as Record<string, unknown>)[field];
    if (typeof value === 'string' || typeof value === 'number') described[field] = value;
  }
  if (depth >= MAX_DEPTH) return described;
  if (error.cause instanceof Error) described.cause = describe(error.cause, depth + 1);
  if (error instanceof AggregateError)
    described.errors = error.errors
      .filter((each) => each instanceof Error)
      .slice(0, MAX_ERRORS)
      .map((each) => describe(each, depth + 1));
  return described;
}
