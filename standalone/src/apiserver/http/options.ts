import type { FieldError, JsonObject } from '@millrace/api/validation';
import { forbidden, invalid, isObject, notSupported } from '@millrace/api/validation';
import { badRequest, invalidObject } from '../status.ts';
import type { FieldValidation } from '../write/decode.ts';
import type { DeleteOptions } from '../write/delete.ts';
import type { WriteOptions } from '../write/writer.ts';
import type { ResourceRequest } from './request.ts';

/** Validated meta/v1 ListOptions. */
export interface ListOptions {
  limit: number | undefined;
  continueToken: string | undefined;
  /** Undefined: the newest revision; 0: any. */
  resourceVersion: number | undefined;
  match: 'Exact' | 'NotOlderThan' | undefined;
  sendInitialEvents: boolean | undefined;
  bookmarks: boolean;
  timeoutSeconds: number | undefined;
}
const policies = ['Orphan', 'Background', 'Foreground'];
const matches = ['Exact', 'NotOlderThan'];
const flag = (query: URLSearchParams, name: string) => query.get(name) === 'true' || query.get(name) === '1';

/** Parses the options of a list or watch. Throws 400 for malformed values, 422 for contradictory ones ("API concepts": resource versions). */
export function listOptions(query: URLSearchParams, isWatch: boolean): ListOptions {
  const match = query.get('resourceVersionMatch') || undefined;
  const options: ListOptions = {
    limit: wholeNumber(query, 'limit'),
    continueToken: query.get('continue') || undefined,
    resourceVersion: wholeNumber(query, 'resourceVersion'),
    match: match as ListOptions['match'],
    sendInitialEvents: query.has('sendInitialEvents') ? flag(query, 'sendInitialEvents') : undefined,
    bookmarks: flag(query, 'allowWatchBookmarks'),
    timeoutSeconds: wholeNumber(query, 'timeoutSeconds'),
  };
  const errors = isWatch ? watchErrors(options) : listErrors(options);
  if (match && !matches.includes(match)) errors.push(notSupported('resourceVersionMatch', match, matches));
  refuse('ListOptions', errors);
  if (!isWatch && options.continueToken && options.resourceVersion)
    throw badRequest('specifying resource version is not allowed when using continue');
  return options;
}

function listErrors({ match, resourceVersion, continueToken, sendInitialEvents }: ListOptions): FieldError[] {
  const errors: FieldError[] = [];
  const refused = (why: string) => errors.push(forbidden('resourceVersionMatch', `resourceVersionMatch is forbidden ${why}`));
  if (match && resourceVersion === undefined) refused('unless resourceVersion is provided');
  if (match && continueToken) refused('when continue is provided');
  if (match === 'Exact' && resourceVersion === 0) refused('for resourceVersion "0" when it is "Exact"');
  if (sendInitialEvents !== undefined) errors.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  return errors;
}

function watchErrors({ match, sendInitialEvents, bookmarks }: ListOptions): FieldError[] {
  if (sendInitialEvents === undefined) {
    const why = 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided';
    return match ? [forbidden('resourceVersionMatch', why)] : [];
  }
  const errors: FieldError[] = [];
  if (match !== 'NotOlderThan')
    errors.push(forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'));
  if (sendInitialEvents && !bookmarks)
    errors.push(forbidden('allowWatchBookmarks', 'sendInitialEvents requires setting allowWatchBookmarks'));
  return errors;
}

/** Parses the options of a write. Throws 422 for unknown values. */
export function writeOptions({ query, request, identity }: ResourceRequest): WriteOptions {
  const kind = request.method === 'POST' ? 'CreateOptions' : request.method === 'PATCH' ? 'PatchOptions' : 'UpdateOptions';
  const validations = ['Ignore', 'Warn', 'Strict'];
  const validation = query.get('fieldValidation') || 'Warn';
  const fieldManager = query.get('fieldManager') ?? '';
  const errors: FieldError[] = dryRunErrors(query.getAll('dryRun'));
  if (!validations.includes(validation)) errors.push(notSupported('fieldValidation', validation, validations));
  if (fieldManager.length > 128)
    errors.push({ reason: 'FieldValueTooLong', field: 'fieldManager', message: 'Too long: may not be more than 128 bytes' });
  const unprintable = [...fieldManager].findIndex((letter) => !/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(letter));
  if (unprintable >= 0)
    errors.push(invalid('fieldManager', fieldManager, `invalid character at position ${unprintable}: must be printable`));
  if (query.has('force') && !(request.headers['content-type'] ?? '').startsWith('application/apply-patch'))
    errors.push(forbidden('force', 'may not be specified for non-apply patch'));
  refuse(kind, errors);
  const agent = (request.headers['user-agent'] ?? '').split('/')[0]?.slice(0, 128);
  return {
    fieldManager: fieldManager || agent || identity.username,
    dryRun: query.getAll('dryRun').includes('All'),
    fieldValidation: validation as FieldValidation,
  };
}

function dryRunErrors(sent: readonly unknown[]): FieldError[] {
  const unknown = sent.find((value) => value !== 'All' && value !== '');
  return unknown === undefined
    ? []
    : [notSupported('dryRun', typeof unknown === 'string' ? unknown : JSON.stringify(unknown), ['All'])];
}

/** Parses meta/v1 DeleteOptions from the body or the query. Throws 400 for malformed options, 422 for invalid ones. */
export function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const sent: JsonObject = isObject(body) ? body : {};
  if ((sent['kind'] ?? 'DeleteOptions') !== 'DeleteOptions')
    throw badRequest(`the body of a deletion must be DeleteOptions, not ${JSON.stringify(sent['kind'])}`);
  const grace = sent['gracePeriodSeconds'] ?? wholeNumber(query, 'gracePeriodSeconds');
  if (grace !== undefined && (typeof grace !== 'number' || !Number.isInteger(grace)))
    throw badRequest(`gracePeriodSeconds: must be a whole number of seconds, not ${JSON.stringify(grace)}`);
  const policy = sent['propagationPolicy'] ?? query.get('propagationPolicy') ?? undefined;
  const orphans = sent['orphanDependents'] ?? undefined;
  const dryRun = [...query.getAll('dryRun'), ...(Array.isArray(sent['dryRun']) ? sent['dryRun'] : [])];
  const errors = dryRunErrors(dryRun);
  if (policy !== undefined && !policies.includes(policy as string))
    errors.push(notSupported('propagationPolicy', policy, policies));
  if (policy !== undefined && orphans !== undefined)
    errors.push(invalid('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'));
  refuse('DeleteOptions', errors);
  return {
    gracePeriodSeconds: grace === undefined ? undefined : Math.max(0, grace),
    propagationPolicy: orphans === true ? 'Orphan' : (policy as DeleteOptions['propagationPolicy']),
    preconditions: isObject(sent['preconditions']) ? sent['preconditions'] : undefined,
    dryRun: dryRun.includes('All'),
  };
}

/** Throws 422 about an options object when there are errors. */
function refuse(kind: string, errors: FieldError[]): void {
  if (errors.length > 0) throw invalidObject({ group: 'meta.k8s.io', plural: kind.toLowerCase(), kind }, '', errors);
}

/** A query parameter that must be a whole number; undefined when absent or empty. Throws 400. */
export function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name}: Invalid value: ${JSON.stringify(text)}: must be a whole number`);
  return Number(text);
}
