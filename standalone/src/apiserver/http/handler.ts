import type { ApiContext } from '../context.ts';
import type { KubeObject } from '../object.ts';
import { asJson, fromJson } from '../object.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import type { ResourceType, Subresource } from '../resource-type.ts';
import { apiVersionOf, storageKey } from '../resource-type.ts';
import { StatusError, badRequest, methodNotAllowed, notFound, success, unknownPath, unsupportedMedia } from '../status.ts';
import { partialMetadata, renderTable } from '../table/table.ts';
import type { IncludeObject } from '../table/table.ts';
import { StrictDecodingError } from '../write/decode.ts';
import { deleteObject } from '../write/delete.ts';
import type { Target, WriteOptions, Written } from '../write/writer.ts';
import { deleteOptions, listOptions, wholeNumber, writeOptions } from './options.ts';
import { checkNotFuture, listObjects, selection, shownAs } from './read.ts';
import type { ResourceRequest } from './request.ts';
import { mediaType, readBody, readDocument } from './request.ts';
import { respond } from './respond.ts';
import { serveWatch } from './watch.ts';

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

/** Warnings as in RFC 7234 section 5.5, worded as by kube-apiserver. Headers can contain only ASCII. */
const warning = (text: string): string => `299 - ${JSON.stringify(text).replace(/[^\x20-\x7e]/g, '?')}`;

/** Answers one request for a resource. */
export async function handleResource(context: ApiContext, call: ResourceRequest): Promise<void> {
  const { path, request } = call;
  const type = context.registry.find(path.group, path.version, path.plural);
  if (!type) throw unknownPath();
  if (type.namespaced ? path.name !== '' && path.namespace === '' : path.namespace !== '') throw unknownPath();
  if (type.virtual) return context.virtual(type, call);
  if (type.deprecation) call.response.appendHeader('Warning', warning(type.deprecation));
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
      return path.name ? getObject(context, target, call) : listOrWatch(context, target, call);
    case 'POST':
      return create(context, target, call);
    case 'PUT':
      return write(context, target, call, async (options) => {
        const { body, duplicates } = await readDocument(request);
        return context.writer.update(target, body, { ...options, duplicates });
      });
    case 'PATCH':
      return write(context, target, call, (options) => patch(context, target, call, options));
    case 'DELETE':
      return path.name ? remove(context, target, call) : removeCollection(context, target, call);
    default:
      throw methodNotAllowed();
  }
}

function getObject({ store, wall }: ApiContext, target: Target, call: ResourceRequest): void {
  checkNotFuture(store, wholeNumber(call.query, 'resourceVersion'));
  const object = store.get(storageKey(target.type), target.namespace, target.name);
  if (!object) throw notFound(target.type, target.name);
  sendObject(call, target.type, object, 200, wall());
}

function sendObject(call: ResourceRequest, type: ResourceType, object: KubeObject, code: number, nowMs: number): void {
  respond(call, code, renderer(type, call)(shownAs(type, object), nowMs));
}

function included(query: URLSearchParams): IncludeObject {
  const wanted = query.get('includeObject');
  return wanted === 'Object' || wanted === 'None' ? wanted : 'Metadata';
}

/** How one object is shown to this client; with `columns` false a Table omits its column definitions. */
function renderer(type: ResourceType, { query, wanted }: ResourceRequest) {
  const includeObject = included(query);
  return (object: KubeObject, nowMs: number, columns = true): object => {
    const metadata = { resourceVersion: object.metadata.resourceVersion };
    if (wanted.form === 'Table') return renderTable(type, [object], { metadata, includeObject, nowMs, columns });
    return wanted.form === 'PartialObjectMetadata' ? partialMetadata(object) : object;
  };
}

function listOrWatch(context: ApiContext, { type, namespace }: Target, call: ResourceRequest): void {
  const { query, response, wanted } = call;
  const isWatch = query.has('watch') && !/^(false|0)$/i.test(query.get('watch') ?? '');
  const predicate = selection(type, namespace, query);
  const options = listOptions(query, isWatch);
  const nowMs = context.wall();
  if (isWatch) {
    const show = renderer(type, call);
    const render = (object: KubeObject, isFirst: boolean) => show(object, context.wall(), isFirst);
    context.watches.add(serveWatch(context.store, type, response, { ...options, predicate, render }), response);
    return;
  }
  const selects = Boolean(query.get('labelSelector') || query.get('fieldSelector'));
  const { items, metadata } = listObjects(context.store, type, predicate, { ...options, selects });
  if (wanted.form === 'Table')
    return respond(call, 200, renderTable(type, items, { metadata, includeObject: included(query), nowMs }));
  if (wanted.form === 'PartialObjectMetadata') {
    const list = { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata };
    return respond(call, 200, { ...list, items: items.map(partialMetadata) });
  }
  respond(call, 200, { kind: type.listKind, apiVersion: apiVersionOf(type), metadata, items });
}

async function create(context: ApiContext, target: Target, call: ResourceRequest): Promise<void> {
  if (target.name || (target.type.namespaced && !target.namespace)) throw methodNotAllowed();
  await write(context, target, call, async (options) => {
    const { body, duplicates } = await readDocument(call.request);
    return context.writer.create(target, body, { ...options, duplicates });
  });
}

async function write(
  context: ApiContext,
  target: Target,
  call: ResourceRequest,
  work: (options: WriteOptions) => Promise<Written>,
): Promise<void> {
  if (call.request.method !== 'POST' && !target.name) throw methodNotAllowed();
  const written = await work(writeOptions(call));
  for (const text of written.warnings) call.response.appendHeader('Warning', warning(text));
  sendObject(call, target.type, written.object, written.created ? 201 : 200, context.wall());
}

async function patch(context: ApiContext, target: Target, call: ResourceRequest, options: WriteOptions): Promise<Written> {
  const kind = mediaType(call.request);
  if (!patchTypes.includes(kind) || (kind.startsWith('application/strategic') && target.type.custom)) {
    throw unsupportedMedia(patchTypes.filter((type) => !target.type.custom || !type.startsWith('application/strategic')));
  }
  const { body, duplicates } = await readDocument(call.request, patchTypes);
  if (kind === 'application/apply-patch+yaml')
    return context.apply(target, body, {
      ...options,
      duplicates,
      force: call.query.get('force') === 'true',
      manager: call.query.get('fieldManager'),
    });
  const old = context.writer.latest(target);
  if (!old) throw notFound(target.type, target.name);
  try {
    return await context.writer.change(target, patchDocument(context, target, old, body, kind), options);
  } catch (error) {
    // The patch itself is well formed, but its result is not.
    if (error instanceof StrictDecodingError) throw new StatusError(422, 'Invalid', error.message);
    throw error;
  }
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
  const options = deleteOptions(await readBody(call.request), call.query);
  const { removed, object } = await deleteObject(context.writer, target, options);
  if (removed) respond(call, 200, success(target.type, target.name, object.metadata.uid));
  else respond(call, 200, shownAs(target.type, object));
}

async function removeCollection(context: ApiContext, { type, namespace }: Target, call: ResourceRequest): Promise<void> {
  if ((type.namespaced && !namespace) || !type.deletesCollections) throw methodNotAllowed();
  const options = deleteOptions(await readBody(call.request), call.query);
  const listed = listOptions(call.query, false);
  const { items, metadata } = listObjects(context.store, type, selection(type, namespace, call.query), {
    ...listed,
    selects: true,
  });
  const results = items.map((item) =>
    deleteObject(context.writer, { type, namespace: item.metadata.namespace ?? '', name: item.metadata.name }, options),
  );
  for (const result of await Promise.allSettled(results)) {
    if (result.status === 'rejected' && !(result.reason instanceof StatusError && result.reason.code === 404))
      throw result.reason;
  }
  respond(call, 200, { kind: type.listKind, apiVersion: apiVersionOf(type), metadata, items });
}
