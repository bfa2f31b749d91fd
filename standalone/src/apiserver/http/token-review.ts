import { invalid, isObject } from '@millrace/api/validation';
import type { ServiceAccountTokens } from '../auth/service-accounts.ts';
import { issuer } from '../auth/service-accounts.ts';
import type { StaticTokens } from '../auth/authenticator.ts';
import { kubeTime } from '../object.ts';
import { conflict, invalidObject, methodNotAllowed, notFound } from '../status.ts';
import type { Target, Writer } from '../write/writer.ts';
import type { ResourceRequest } from './request.ts';
import { respond } from './respond.ts';
import { readBody } from './request.ts';

const strings = (value: unknown): string[] => (Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []);

/** POST authentication.k8s.io/v1 TokenReview. */
export async function reviewToken(tokens: ServiceAccountTokens, statics: StaticTokens, call: ResourceRequest): Promise<void> {
  if (call.request.method !== 'POST') throw methodNotAllowed();
  const review = await readBody(call.request);
  const spec = isObject(review) ? review['spec'] : undefined;
  if (!isObject(spec) || typeof spec['token'] !== 'string' || spec['token'] === '') {
    const type = { group: 'authentication.k8s.io', plural: 'tokenreviews', kind: 'TokenReview' };
    throw invalidObject(type, '', [{ reason: 'FieldValueRequired', field: 'spec.token', message: 'Required value' }]);
  }
  const asked = strings(spec['audiences']);
  const audiences = asked.length > 0 ? asked : [issuer];
  const status = await verdict(tokens, statics, spec['token'], audiences, asked.length > 0);
  respond(call, 201, {
    kind: 'TokenReview',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {},
    spec: { audiences },
    status,
  });
}

async function verdict(
  tokens: ServiceAccountTokens,
  statics: StaticTokens,
  token: string,
  audiences: string[],
  named: boolean,
): Promise<object> {
  const known = statics.identify(token);
  if (known && (!named || audiences.includes(issuer))) return { authenticated: true, user: known, audiences: [issuer] };
  try {
    const { user, audiences: matched } = await tokens.review(token, audiences);
    return { authenticated: true, user, audiences: matched };
  } catch (error) {
    return { authenticated: false, user: {}, error: error instanceof Error ? error.message : String(error) };
  }
}

/** POST serviceaccounts/NAME/token (TokenRequest), bound to a pod when spec.boundObjectRef says so. */
export async function requestToken(
  tokens: ServiceAccountTokens,
  writer: Writer,
  target: Target,
  call: ResourceRequest,
): Promise<void> {
  if (call.request.method !== 'POST') throw methodNotAllowed();
  const account = writer.latest(target);
  if (!account) throw notFound(target.type, target.name);
  const request = await readBody(call.request);
  const spec = isObject(request) && isObject(request['spec']) ? request['spec'] : {};
  const asked = strings(spec['audiences']);
  const audiences = asked.length > 0 ? asked : [issuer];
  const seconds = typeof spec['expirationSeconds'] === 'number' ? spec['expirationSeconds'] : 3600;
  if (seconds < 600 || seconds > 2 ** 32)
    throw invalidObject({ group: 'authentication.k8s.io', plural: 'tokenrequests', kind: 'TokenRequest' }, '', [
      invalid('spec.expirationSeconds', seconds, 'may not specify a duration less than 10 minutes, nor more than 2^32 seconds'),
    ]);
  const reference = isObject(spec['boundObjectRef']) ? spec['boundObjectRef'] : undefined;
  const pod = reference && writer.context.store.latest('/pods', target.namespace, reference['name'] as string);
  if (reference && !pod) throw notFound({ group: '', plural: 'pods', kind: 'Pod' }, reference['name'] as string);
  if (pod && reference['uid'] && reference['uid'] !== pod.metadata.uid) {
    throw conflict(
      { group: '', plural: 'pods', kind: 'Pod' },
      pod.metadata.name,
      `the UID in the bound object reference (${reference['uid'] as string}) does not match the UID in record`,
    );
  }
  const nodeName = pod?.spec?.['nodeName'];
  const bound = pod && {
    name: pod.metadata.name,
    uid: pod.metadata.uid,
    nodeName: typeof nodeName === 'string' ? nodeName : undefined,
  };
  const token = await tokens.issue(account, audiences, seconds, bound);
  const expirationTimestamp = kubeTime(writer.context.wall() + seconds * 1000);
  const body = {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {},
    spec: { ...spec, audiences, expirationSeconds: seconds },
  };
  respond(call, 201, { ...body, status: { token, expirationTimestamp } });
}
