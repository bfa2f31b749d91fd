import { isObject } from '@millrace/api/validation';
import { methodNotAllowed } from '../status.ts';
import type { ResourceRequest } from './request.ts';
import { readBody } from './request.ts';
import { respond } from './respond.ts';

/** POST SelfSubjectAccessReview (`kubectl auth can-i`): a client with a token of this API may do everything. */
export async function reviewAccess(call: ResourceRequest): Promise<void> {
  if (call.request.method !== 'POST') throw methodNotAllowed();
  const body = await readBody(call.request);
  const spec = isObject(body) && isObject(body['spec']) ? body['spec'] : {};
  const status = { allowed: true, reason: 'this API knows no roles: its tokens allow everything' };
  respond(call, 201, { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', metadata: {}, spec, status });
}

/** POST SelfSubjectReview (`kubectl auth whoami`). */
export async function reviewSelf(call: ResourceRequest): Promise<void> {
  if (call.request.method !== 'POST') throw methodNotAllowed();
  await readBody(call.request);
  const status = { userInfo: call.identity };
  respond(call, 201, { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1', metadata: {}, status });
}
