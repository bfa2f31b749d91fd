import { request as httpRequest } from 'node:http';
import type { Json, JsonObject } from '@millrace/api/validation';
import { isObject } from '@millrace/api/validation';
import type { ApiContext } from '../context.ts';
import type { KubeObject } from '../object.ts';
import { asJson, fromJson, kubeTime, valueAt } from '../object.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import type { ResourceType } from '../resource-type.ts';
import { storageKey } from '../resource-type.ts';
import {
  StatusError,
  badRequest,
  conflict,
  invalidObject,
  methodNotAllowed,
  notFound,
  staleObject,
  unsupportedMedia,
} from '../status.ts';
import { deleteObject } from '../write/delete.ts';
import type { Target } from '../write/writer.ts';
import { deleteOptions, writeOptions } from './options.ts';
import type { ResourceRequest } from './request.ts';
import { respond } from './respond.ts';
import { mediaType, readBody } from './request.ts';

const autoscaling = { group: 'autoscaling', plural: 'scales', kind: 'Scale' };
const path = (text: string | undefined) => (text ?? '').split('.').filter(Boolean);

function scaleOf(type: ResourceType, object: KubeObject): JsonObject {
  const { name, namespace = '', uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = type.scale?.labelSelectorPath ? valueAt(object, path(type.scale.labelSelectorPath)) : undefined;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: valueAt(object, path(type.scale?.specReplicasPath)) ?? 0 },
    status: { replicas: valueAt(object, path(type.scale?.statusReplicasPath)) ?? 0, ...(selector ? { selector } : {}) },
  };
}

/** GET, PUT and PATCH of the scale subresource. */
export async function serveScale(context: ApiContext, target: Target, call: ResourceRequest): Promise<void> {
  const { type, name } = target;
  const method = call.request.method;
  if (method !== 'GET' && method !== 'PUT' && method !== 'PATCH') throw methodNotAllowed();
  const body = method === 'GET' ? undefined : await readBody(call.request, method === 'PUT' ? [] : [mediaType(call.request)]);
  const old = method === 'GET' ? context.store.get(storageKey(type), target.namespace, name) : context.writer.latest(target);
  if (!old) throw notFound(type, name);
  if (method === 'GET') return respond(call, 200, scaleOf(type, old));
  const scale = method === 'PUT' ? body : patchedScale(scaleOf(type, old), body, mediaType(call.request));
  if (!isObject(scale) || (scale['kind'] ?? 'Scale') !== 'Scale') throw badRequest('the body must be a Scale object');
  const named = valueAt(scale, ['metadata', 'name']);
  if (named && named !== name)
    throw badRequest(`the name of the object (${JSON.stringify(named)}) does not match the name on the URL (${name})`);
  const version = valueAt(scale, ['metadata', 'resourceVersion']);
  if (version && version !== old.metadata.resourceVersion) throw staleObject(type, name);
  const replicas = valueAt(scale, ['spec', 'replicas']) ?? 0;
  if (typeof replicas !== 'number' || !Number.isInteger(replicas) || replicas < 0) {
    const message = `Invalid value: ${JSON.stringify(replicas)}: must be a whole number greater than or equal to 0`;
    throw invalidObject(autoscaling, name, [{ reason: 'FieldValueInvalid', field: 'spec.replicas', message }]);
  }
  const next = structuredClone(asJson(old));
  setAt(next, path(type.scale?.specReplicasPath), replicas);
  // Scaling does not give ownership of fields that had no owner, as in kube-apiserver, where a Scale without managers is not tracked.
  const managed = isOwned(old, path(type.scale?.specReplicasPath)) ? undefined : (old.metadata.managedFields ?? []);
  respond(call, 200, scaleOf(type, await context.writer.replace(target, fromJson(next), old, writeOptions(call), managed)));
}

function isOwned({ metadata }: KubeObject, steps: string[]): boolean {
  const fields = steps.map((step) => `f:${step}`);
  return (metadata.managedFields ?? []).some((entry) => valueAt(entry.fieldsV1, fields) !== undefined);
}

function patchedScale(scale: JsonObject, body: unknown, kind: string): Json {
  if (kind === 'application/json-patch+json') return applyJsonPatch(scale, body);
  if (kind !== 'application/merge-patch+json')
    throw unsupportedMedia(['application/json-patch+json', 'application/merge-patch+json']);
  return applyMergePatch(scale, body as Json);
}

function setAt(object: JsonObject, steps: string[], value: Json): void {
  const last = steps.at(-1);
  let current = object;
  for (const step of steps.slice(0, -1)) {
    const below = (current[step] ??= {});
    if (!isObject(below)) return;
    current = below;
  }
  if (last) current[last] = value;
}

/** POST pods/NAME/binding: assigns the pod to a node. */
export async function bindPod(context: ApiContext, target: Target, call: ResourceRequest): Promise<void> {
  if (call.request.method !== 'POST') throw methodNotAllowed();
  const body = await readBody(call.request);
  const pod = context.writer.latest(target);
  if (!pod) throw notFound(target.type, target.name);
  const nodeName = isObject(body) ? valueAt(body, ['target', 'name']) : undefined;
  if (typeof nodeName !== 'string' || nodeName === '')
    throw badRequest('target.name: Required value: the node to bind the pod to');
  if (pod.spec?.['nodeName'])
    throw conflict(
      target.type,
      target.name,
      `pod ${target.name} is already assigned to node ${JSON.stringify(pod.spec['nodeName'])}`,
    );
  if (pod.metadata.deletionTimestamp)
    throw conflict(target.type, target.name, `pod ${target.name} is being deleted, cannot be assigned to a host`);
  const others = Array.isArray(pod.status?.['conditions'])
    ? pod.status['conditions'].filter((known) => !isObject(known) || known['type'] !== 'PodScheduled')
    : [];
  const scheduled = { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: kubeTime(context.wall()) };
  const status = { ...pod.status, conditions: [...others, scheduled] };
  if (!writeOptions(call).dryRun)
    await context.store.put(storageKey(target.type), { ...pod, spec: { ...pod.spec, nodeName }, status });
  respond(call, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

/** POST pods/NAME/eviction: a delete that respects the disruption budgets which select the pod. */
export async function evictPod(context: ApiContext, target: Target, call: ResourceRequest): Promise<void> {
  if (call.request.method !== 'POST') throw methodNotAllowed();
  const body = await readBody(call.request);
  const pod = context.writer.latest(target);
  if (!pod) throw notFound(target.type, target.name);
  const blocking = context.store.list('policy/poddisruptionbudgets').find((budget) => {
    const labels = valueAt(budget, ['spec', 'selector', 'matchLabels']);
    const selects =
      budget.metadata.namespace === target.namespace &&
      isObject(labels) &&
      Object.entries(labels).every(([key, value]) => pod.metadata.labels?.[key] === value);
    return selects && !(Number(valueAt(budget, ['status', 'disruptionsAllowed'])) > 0);
  });
  if (blocking) {
    throw new StatusError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
      causes: [
        { reason: 'DisruptionBudget', message: `The disruption budget ${blocking.metadata.name} allows no disruption now` },
      ],
    });
  }
  await deleteObject(context.writer, target, deleteOptions(isObject(body) ? body['deleteOptions'] : undefined, call.query));
  respond(call, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

/** Where the pod agent listens for log requests: an annotation on its Node, since no field of NodeStatus can hold a unix socket. */
export const agentSocketAnnotation = 'standalone.millrace.dev/agent-socket';

/** GET pods/NAME/log: forwarded to the agent of the pod's node. */
export async function serveLog(context: ApiContext, target: Target, call: ResourceRequest): Promise<void> {
  if (call.request.method !== 'GET') throw methodNotAllowed();
  const pod = context.store.get(storageKey(target.type), target.namespace, target.name);
  if (!pod) throw notFound(target.type, target.name);
  const nodeName = pod.spec?.['nodeName'];
  const socketPath = context.store.get('/nodes', '', typeof nodeName === 'string' ? nodeName : '')?.metadata.annotations?.[
    agentSocketAnnotation
  ];
  if (!socketPath) throw badRequest(`pod ${target.name} is not on a node that serves logs`);
  const names = Array.isArray(pod.spec?.['containers'])
    ? pod.spec['containers'].map((container) => valueAt(container, ['name']) as string)
    : [];
  const container = call.query.get('container') ?? names[0] ?? '';
  if (!names.includes(container)) throw badRequest(`container ${container} is not valid for pod ${target.name}`);
  await new Promise<void>((resolve, reject) => {
    const url = `/containerLogs/${pod.metadata.uid}/${encodeURIComponent(container)}?${call.query.toString()}`;
    const upstream = httpRequest({ socketPath, path: url }, (answer) => {
      call.response.writeHead(answer.statusCode ?? 502, { 'Content-Type': 'text/plain' });
      answer.pipe(call.response).on('close', resolve);
    });
    upstream.on('error', (error) =>
      reject(
        new StatusError(502, 'InternalError', `the pod agent of node ${nodeName as string} does not answer: ${error.message}`),
      ),
    );
    call.response.on('close', () => upstream.destroy());
    upstream.end();
  });
}
