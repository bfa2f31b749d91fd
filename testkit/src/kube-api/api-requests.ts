import type { HttpRequest, HttpResponse } from './wire.ts';
import { ApiFailure, failure, success } from './api-answers.ts';
import { labelSelector } from './label-selector.ts';
import type { ApiState, ClientConnection } from './model.ts';
import { graceOf, type Stored } from './object-store.ts';
import { parsePath } from './paths.ts';

interface Call {
  api: ApiState;
  connection: ClientConnection;
  request: HttpRequest;
  path: string;
  query: URLSearchParams;
  subresource: 'status' | '';
  body: Partial<Stored> | undefined;
}

/** Executes one request. */
export function serve(api: ApiState, request: HttpRequest, connection: ClientConnection): HttpResponse {
  const [pathname = '', search = ''] = request.path.split('?');
  const body = request.body === undefined ? undefined : (JSON.parse(request.body) as Partial<Stored>);
  if (request.method !== 'GET' && api.recording) api.requests.push({ method: request.method, path: pathname, body });
  const subresource = pathname.endsWith('/status') ? 'status' : '';
  const path = subresource ? pathname.slice(0, -'/status'.length) : pathname;
  const answer = answerTo({ api, connection, request, path, query: new URLSearchParams(search), subresource, body });
  return api.clock ? { ...answer, headers: { ...answer.headers, date: new Date(api.clock.wall()).toUTCString() } } : answer;
}

function answerTo(call: Call): HttpResponse {
  const { request } = call;
  try {
    if (request.method === 'GET') return read(call);
    if (request.method === 'POST') return create(call);
    if (request.headers['content-type'] === 'application/apply-patch+yaml') return apply(call);
    return change(call);
  } catch (error) {
    if (error instanceof ApiFailure) return failure(error.code, error.reason, error.message);
    throw error;
  }
}

function read(call: Call): HttpResponse {
  const { api, path, query } = call;
  if (query.get('watch')) return watch(call);
  if (!parsePath(path).name) return list(call);
  const stored = api.objects.get(path);
  return stored ? success(stored) : failure(404, 'NotFound');
}

function list({ api, connection, path, query }: Call): HttpResponse {
  const { store } = api;
  const asked = Number(query.get('limit'));
  // Without a limit, the page has all objects.
  const limit = asked > 0 ? Math.min(asked, connection.faults.pageSize ?? Infinity) : Infinity;
  const [version = `${store.version}`, from = '0'] = query.get('continue')?.split(':') ?? [];
  // All pages of a list must show one state; after a change the continue token has expired.
  if (query.get('continue') && version !== `${store.version}`) return failure(410, 'Expired');
  const matches = labelSelector(query.get('labelSelector'));
  const all = store.list(path).flatMap(([, object]) => (matches(object) ? [object] : []));
  const next = Number(from) + limit;
  const metadata = { resourceVersion: version, ...(next < all.length ? { continue: `${version}:${next}` } : {}) };
  return success({ metadata, items: all.slice(Number(from), next) });
}

function watch({ api, connection, request, path, query }: Call): HttpResponse {
  const from = Number(query.get('resourceVersion'));
  if (from < api.store.compactedTo) return failure(410, 'Expired');
  const matches = labelSelector(query.get('labelSelector'));
  const timeoutMs = Number(query.get('timeoutSeconds')) * 1000;
  const stream = api.openWatch({ collection: path, from, matches }, connection, request.signal, timeoutMs);
  return { status: 200, headers: {}, body: stream.lines() };
}

function create({ api, connection, path, body }: Call): HttpResponse {
  const { status: _, ...given } = body as Stored;
  const metadata = { ...given.metadata };
  const prefix = metadata['generateName'] as string | undefined;
  const name = metadata.name || `${prefix}${Math.random().toString(36).slice(2, 7)}`;
  const target = `${path}/${name}`;
  if (api.objects.has(target)) return failure(409, 'AlreadyExists');
  const object: Stored = { ...given, metadata: { ...metadata, name, resourceVersion: '', uid: '' } };
  api.admit?.(target, object, undefined);
  return success(api.store.write(target, object, 'all', connection.name), 201);
}

function apply({ api, connection, path, query, subresource, body }: Call): HttpResponse {
  const stored = api.objects.get(path);
  const uid = body?.metadata?.uid;
  if (uid && uid !== stored?.metadata.uid) return failure(409, 'Conflict');
  if (!stored && subresource) return failure(404, 'NotFound');
  if (body) api.admit?.(path, body as Stored, stored);
  const next = api.store.apply(path, body as Stored, query.get('fieldManager') ?? '', subresource, connection.name);
  return success(next, stored ? 200 : 201);
}

function change({ api, connection, request, path, subresource, body }: Call): HttpResponse {
  const stored = api.objects.get(path);
  if (!stored) return failure(404, 'NotFound');
  const isDelete = request.method === 'DELETE';
  const options = body as { preconditions?: object; gracePeriodSeconds?: number } | undefined;
  const wanted = (isDelete ? options?.preconditions : body?.metadata) ?? {};
  const { uid, resourceVersion } = wanted as { uid?: string; resourceVersion?: string };
  if ((uid && uid !== stored.metadata.uid) || (resourceVersion && resourceVersion !== stored.metadata.resourceVersion)) {
    return failure(409, 'Conflict');
  }
  if (isDelete) {
    api.store.delete(path, options?.gracePeriodSeconds ?? graceOf(stored), connection.name);
    return success({});
  }
  const next = (request.method === 'PATCH' ? merged(stored, body) : body) as Stored;
  api.admit?.(path, next, stored);
  return success(api.store.write(path, next, subresource || 'main', connection.name));
}

/** JSON merge patch (RFC 7386). */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}
