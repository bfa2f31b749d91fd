import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Identity, ResourcePath } from './request.ts';
import { mediaType, readBody, wantedForm } from './request.ts';
import type { ApiContext } from '../context.ts';
import type { KubeObject } from '../object.ts';
import { asJson, fromJson } from '../object.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import type { ResourceType, Subresource } from '../resource-type.ts';
import { apiVersionOf } from '../resource-type.ts';
import { StatusError, badRequest, methodNotAllowed, notFound, success, unknownPath, unsupportedMedia } from '../status.ts';
import { partialMetadata, renderTable } from '../table/table.ts';
import type { IncludeObject } from '../table/table.ts';
import { deleteObject, parseDeleteOptions } from '../write/delete.ts';
import type { FieldValidation } from '../write/decode.ts';
import type { Target, WriteOptions, Written } from '../write/writer.ts';
import { selection, shownAs } from './read.ts';
import { serveWatch } from './watch.ts';

export interface ResourceRequest {
  path: ResourcePath;
  query: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
  identity: Identity;
}
const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

/** Answers one request for a resource. */
export async function handleResource(context: ApiContext, call: ResourceRequest): Promise<void> {
  const { path, request } = call;
  const type = context.registry.find(path.group, path.version, path.plural);
  if (!type) throw unknownPath();
  if (type.namespaced ? path.name !== '' && path.namespace === '' : path.namespace !== '') throw unknownPath();
  if (type.virtual) return context.virtual(type, call);
  if (path.subresource && !type.subresources.includes(path.subresource as Subresource)) throw unknownPath();
  const target: Target = {
    type,
    namespace: path.namespace,
    name: path.name,
    subresource: (path.subresource || undefined) as Subresource | undefined,
  };
  if (target.subresource && target.subresource !== 'status') return context.subresource(target, call);
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      return path.name && call.query.get('watch') !== 'true'
        ? getObject(context, target, call)
        : listOrWatch(context, target, call);
    case 'POST':
      return create(context, target, call);
    case 'PUT':
      return write(context, target, call, async (options) => context.writer.update(target, await readBody(request), options));
    case 'PATCH':
      return write(context, target, call, (options) => patch(context, target, call, options));
    case 'DELETE':
      return path.name ? remove(context, target, call) : removeCollection(context, target, call);
    default:
      throw methodNotAllowed();
  }
}

function getObject({ store, wall }: ApiContext, target: Target, call: ResourceRequest): void {
  const object = store.get(`${target.type.group}/${target.type.plural}`, target.namespace, target.name);
  if (!object) throw notFound(target.type, target.name);
  sendObject(call, target.type, object, 200, wall());
}

export function sendObject(call: ResourceRequest, type: ResourceType, object: KubeObject, code: number, nowMs: number): void {
  const shown = shownAs(type, object);
  const form = wantedForm(call.request.headers.accept);
  const metadata = { resourceVersion: shown.metadata.resourceVersion };
  if (form === 'Table')
    sendJson(call.response, code, renderTable(type, [shown], { metadata, includeObject: included(call.query), nowMs }));
  else sendJson(call.response, code, form === 'PartialObjectMetadata' ? partialMetadata(shown) : shown);
}

function included(query: URLSearchParams): IncludeObject {
  const wanted = query.get('includeObject');
  return wanted === 'Object' || wanted === 'None' ? wanted : 'Metadata';
}

function listOrWatch(context: ApiContext, { type, namespace, name }: Target, call: ResourceRequest): void {
  const { query, response, request } = call;
  const predicate = selection(type, namespace, name, query);
  const form = wantedForm(request.headers.accept);
  const nowMs = context.wall();
  const includeObject = included(query);
  if (query.get('watch') === 'true' || query.get('watch') === '1') {
    const render = (object: KubeObject, isFirst: boolean): object => {
      const metadata = { resourceVersion: object.metadata.resourceVersion };
      if (form === 'Table')
        return renderTable(type, [object], { metadata, includeObject, nowMs: context.wall(), columns: isFirst });
      return form === 'PartialObjectMetadata' ? partialMetadata(object) : object;
    };
    context.watches.add(
      serveWatch(context.store, type, response, { predicate, query, render, contentType: 'application/json' }),
      response,
    );
    return;
  }
  const { items, metadata } = context.lister.list(type, predicate, query);
  if (form === 'Table') return sendJson(response, 200, renderTable(type, items, { metadata, includeObject, nowMs }));
  if (form === 'PartialObjectMetadata') {
    return sendJson(response, 200, {
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      items: items.map(partialMetadata),
    });
  }
  sendJson(response, 200, { kind: type.listKind, apiVersion: apiVersionOf(type), metadata, items });
}

async function create(context: ApiContext, target: Target, call: ResourceRequest): Promise<void> {
  if (target.name || (target.type.namespaced && !target.namespace)) throw methodNotAllowed();
  await write(context, target, call, async (options) => context.writer.create(target, await readBody(call.request), options));
}

async function write(
  context: ApiContext,
  target: Target,
  call: ResourceRequest,
  work: (options: WriteOptions) => Promise<Written>,
): Promise<void> {
  if (call.request.method !== 'POST' && !target.name) throw methodNotAllowed();
  const written = await work(writeOptions(call));
  for (const warning of written.warnings) call.response.appendHeader('Warning', `299 - ${JSON.stringify(warning)}`);
  sendObject(call, target.type, written.object, written.created ? 201 : 200, context.wall());
}

export function writeOptions({ query, request, identity }: ResourceRequest): WriteOptions {
  const validation = query.get('fieldValidation') || 'Warn';
  if (!['Ignore', 'Warn', 'Strict'].includes(validation))
    throw badRequest(`fieldValidation: must be Ignore, Warn or Strict, not ${JSON.stringify(validation)}`);
  const agent = (request.headers['user-agent'] ?? '').split('/')[0]?.slice(0, 128);
  const fieldManager = query.get('fieldManager') || agent || identity.username;
  if (fieldManager.length > 128) throw badRequest('fieldManager: may not be more than 128 characters');
  return { fieldManager, dryRun: query.getAll('dryRun').includes('All'), fieldValidation: validation as FieldValidation };
}

async function patch(context: ApiContext, target: Target, call: ResourceRequest, options: WriteOptions): Promise<Written> {
  const kind = mediaType(call.request);
  if (!patchTypes.includes(kind) || (kind.startsWith('application/strategic') && target.type.custom)) {
    throw unsupportedMedia(patchTypes.filter((type) => !target.type.custom || !type.startsWith('application/strategic')));
  }
  const body = await readBody(call.request, patchTypes);
  if (kind === 'application/apply-patch+yaml')
    return context.apply(target, body, {
      ...options,
      force: call.query.get('force') === 'true',
      manager: call.query.get('fieldManager'),
    });
  const old = context.writer.latest(target);
  if (!old) throw notFound(target.type, target.name);
  return context.writer.update(target, patchDocument(context, target, old, body, kind), options);
}

function patchDocument(context: ApiContext, { type }: Target, old: KubeObject, body: unknown, kind: string): KubeObject {
  const document = asJson(shownAs(type, old));
  if (kind === 'application/json-patch+json') return fromJson(applyJsonPatch(document, body));
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badRequest('the patch must be an object');
  if (kind === 'application/merge-patch+json') return fromJson(applyMergePatch(document, body as never) as never);
  return fromJson(context.strategicMerge(document, body as never, type.schema));
}

async function remove(context: ApiContext, target: Target, call: ResourceRequest): Promise<void> {
  if (target.subresource) throw methodNotAllowed();
  const options = parseDeleteOptions(await readBody(call.request), call.query);
  const { removed, object } = await deleteObject(context.writer, target, options);
  if (removed) sendJson(call.response, 200, success(target.type, target.name, object.metadata.uid));
  else sendJson(call.response, 200, shownAs(target.type, object));
}

async function removeCollection(context: ApiContext, { type, namespace }: Target, call: ResourceRequest): Promise<void> {
  if (type.namespaced && !namespace) throw methodNotAllowed();
  const options = parseDeleteOptions(await readBody(call.request), call.query);
  const { items, metadata } = context.lister.list(type, selection(type, namespace, '', call.query), call.query);
  const results = items.map((item) =>
    deleteObject(context.writer, { type, namespace: item.metadata.namespace ?? '', name: item.metadata.name }, options),
  );
  for (const result of await Promise.allSettled(results)) {
    if (result.status === 'rejected' && !(result.reason instanceof StatusError && result.reason.code === 404))
      throw result.reason;
  }
  sendJson(call.response, 200, { kind: type.listKind, apiVersion: apiVersionOf(type), metadata, items });
}

export function sendJson(response: ServerResponse, code: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(code, {
    'Content-Type': 'application/json',
    'Content-Length': bytes.length,
    'Cache-Control': 'no-cache, private',
  });
  response.end(bytes);
}
