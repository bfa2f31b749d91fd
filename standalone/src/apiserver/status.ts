import type { FieldError } from '@millrace/api/validation';
import { formatFieldError } from '@millrace/api/validation';

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}
export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

/** An error as metav1.Status, the body of every failed response. */
export class StatusError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  /** Token with which a list that cannot continue consistently may continue inconsistently. */
  continueToken: string | undefined;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'StatusError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  toJSON(): object {
    const { code, reason, message, details, continueToken } = this;
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: continueToken ? { continue: continueToken } : {},
      status: 'Failure',
      message,
      reason,
      ...(details ? { details } : {}),
      code,
    };
  }
}

/** How messages and details name a resource. */
export interface ResourceName {
  group: string;
  plural: string;
  kind: string;
}

function qualified(type: { group: string }, word: string): string {
  return type.group ? `${word}.${type.group}` : word;
}

const aboutResource = (type: ResourceName, name: string): StatusDetails => ({
  name,
  ...(type.group ? { group: type.group } : {}),
  kind: type.plural,
});

export const notFound = (type: ResourceName, name: string) =>
  new StatusError(
    404,
    'NotFound',
    `${qualified(type, type.plural)} ${JSON.stringify(name)} not found`,
    aboutResource(type, name),
  );
export const alreadyExists = (type: ResourceName, name: string) =>
  new StatusError(
    409,
    'AlreadyExists',
    `${qualified(type, type.plural)} ${JSON.stringify(name)} already exists`,
    aboutResource(type, name),
  );
export const conflict = (type: ResourceName, name: string, why: string) =>
  new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(type, type.plural)} ${JSON.stringify(name)}: ${why}`,
    aboutResource(type, name),
  );
export const staleObject = (type: ResourceName, name: string) =>
  conflict(type, name, 'the object has been modified; please apply your changes to the latest version and try again');
export const badRequest = (message: string) => new StatusError(400, 'BadRequest', message);
export const forbiddenRequest = (type: ResourceName, name: string, why: string, causes?: StatusCause[]) =>
  new StatusError(403, 'Forbidden', `${qualified(type, type.plural)} ${JSON.stringify(name)} is forbidden: ${why}`, {
    ...aboutResource(type, name),
    ...(causes ? { causes } : {}),
  });
/** There are no roles here: administrators may do everything, service accounts nothing. */
export const notAdministrator = (username: string) =>
  new StatusError(403, 'Forbidden', `User "${username}" is none of system:masters, to whom this API server is open`);
export const unauthorized = () => new StatusError(401, 'Unauthorized', 'Unauthorized');
export const methodNotAllowed = () =>
  new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
export const unknownPath = () =>
  new StatusError(404, 'NotFound', 'the server could not find the requested resource', {
    causes: [{ reason: 'UnexpectedServerResponse', message: '404 page not found' }],
  });
export const expired = (message: string) => new StatusError(410, 'Expired', message);

/** 410 for a continue token; `token` continues in the newest state. */
export function continueExpired(token: string): StatusError {
  const error = expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
  );
  error.continueToken = token;
  return error;
}
export const notAcceptable = (served: string[]) =>
  new StatusError(406, 'NotAcceptable', `only the following media types are accepted: ${served.join(', ')}`);
export const unsupportedMedia = (accepted: string[]) =>
  new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
export const tooLarge = (maxBytes: number) =>
  new StatusError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${maxBytes}`);
export const tooManyOperations = (most: number, sent: number) =>
  new StatusError(
    413,
    'RequestEntityTooLarge',
    `Request entity too large: The allowed maximum operations in a JSON patch is ${most}, got ${sent}`,
  );
export const timeoutTooLargeVersion = (asked: number, current: number) =>
  new StatusError(504, 'Timeout', `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
export const storageFull = () =>
  new StatusError(
    507,
    'InsufficientStorage',
    'the write was not stored: the disk that holds the data directory is full or read-only; free space and retry',
  );

/** 422 with one cause for each field error. */
export function invalidObject(type: ResourceName, name: string, errors: FieldError[]): StatusError {
  const texts = errors.map(formatFieldError);
  const list = texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`;
  return new StatusError(422, 'Invalid', `${qualified(type, type.kind)} ${JSON.stringify(name)} is invalid: ${list}`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.kind,
    causes: errors.map((error) => ({ reason: error.reason, message: error.message, field: error.field })),
  });
}

/** metav1.Status of a finished deletion. */
export function success(type: ResourceName, name: string, uid: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { ...aboutResource(type, name), uid } };
}
