import { z } from 'zod';
import type { AccessRule } from './access.ts';

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** Media type to the schema of what it carries; `Text` where it is not JSON. */
export type Content = Readonly<Record<string, z.ZodType>>;

export interface Answer {
  readonly description: string;
  readonly content?: Content;
  /** Headers that come with it always, and what they mean. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of text/event-stream: the name of each event and what its data is. */
  readonly events?: Content;
}

/** One thing that can be asked of a server: the source of its reference, of the access table and of what tests hold servers to. */
export interface Operation {
  /** operationId */
  readonly id: string;
  readonly method: Method;
  /** With {parameters}. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly detail?: string;
  readonly access: AccessRule;
  /** One schema for each {parameter} of the path. */
  readonly parameters?: Readonly<Record<string, z.ZodType>>;
  readonly query?: z.ZodObject;
  /** Request headers beside Authorization, by what they are for. Those ending in `!` are required. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Content;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Shell lines that work; the reference says what the variables hold. */
  readonly example?: string;
}

/** A server's listener: operations with what all of them may answer. */
export interface Service {
  /** Name of its document. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Where it listens unless told otherwise. */
  readonly server: string;
  readonly operations: readonly Operation[];
  /** Refusals that any operation may answer. */
  readonly always: Readonly<Record<number, Answer>>;
}

export const Text = z.string();
export const JSON_TYPE = 'application/json';
const PROBLEM_TYPE = 'application/problem+json';

/** RFC 9457. */
export const ProblemDetails = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int().min(300).max(599),
  /** What went wrong this time, naming the field and the remedy. */
  detail: z.string().optional(),
});

export function json(description: string, schema: z.ZodType, headers?: Answer['headers']): Answer {
  return { description, content: { [JSON_TYPE]: schema }, ...(headers ? { headers } : {}) };
}

export function problem(description: string, headers?: Answer['headers'], schema: z.ZodType = ProblemDetails): Answer {
  return { description, content: { [PROBLEM_TYPE]: schema }, ...(headers ? { headers } : {}) };
}

export const RETRY_AFTER = { 'retry-after': 'seconds to wait' };
export const CHALLENGE = { 'www-authenticate': 'Bearer, with the error (RFC 6750)' };

/** What express, its body parsers and the limits of a listener refuse before an operation sees it. */
export const REFUSALS: Readonly<Record<number, Answer>> = {
  400: problem('The URL, the query or the body is not as described here; the detail names the field'),
  413: problem('The body is larger than the operation takes'),
  415: problem('The body has another media type, encoding or charset'),
  429: problem('Too much from one address; see Retry-After', RETRY_AFTER),
  500: problem('A fault of the server, which logs it'),
};
