import type { IncomingMessage, ServerResponse } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { checkDepth } from '../object.ts';
import { decodeProtobuf, protobufMediaType } from '../protobuf/decode.ts';
import { duplicateFields } from './duplicate-fields.ts';
import { badRequest, tooLarge, unsupportedMedia } from '../status.ts';
import type { Wanted } from './negotiation.ts';

export interface Identity {
  username: string;
  uid?: string;
  groups: string[];
}

/** A parsed request for a resource path. */
export interface ResourcePath {
  group: string;
  version: string;
  namespace: string;
  plural: string;
  name: string;
  subresource: string;
}

/** Parses `/api/v1/...` and `/apis/GROUP/VERSION/...`; undefined for any other path. Throws 400 for invalid escapes. */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  let parts: string[];
  try {
    parts = pathname.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    throw badRequest(`the path ${JSON.stringify(pathname)} has a malformed escape`);
  }
  const [root, ...rest] = parts;
  if (root !== 'api' && root !== 'apis') return undefined;
  const group = root === 'apis' ? (rest.shift() ?? '') : '';
  const version = rest.shift();
  if (!version || rest.length === 0) return undefined;
  let namespace = '';
  if (rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status' && rest[2] !== 'finalize') {
    namespace = rest[1] ?? '';
    rest.splice(0, 2);
  }
  const [plural = '', name = '', subresource = '', ...beyond] = rest;
  return beyond.length > 0 ? undefined : { group, version, namespace, plural, name, subresource };
}

/** One request for a resource and the means to answer it. */
export interface ResourceRequest {
  path: ResourcePath;
  query: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
  identity: Identity;
  wanted: Wanted;
}

const maxBodyBytes = 3 * 1024 * 1024;

/** Reads and parses a JSON or YAML body; undefined when there is none. `types` are the accepted media types; empty accepts any of these. */
export async function readBody(request: IncomingMessage, types: string[] = []): Promise<unknown> {
  return (await readDocument(request, types)).body;
}

/** The same, with the paths of duplicate fields in a JSON text. */
export async function readDocument(
  request: IncomingMessage,
  types: string[] = [],
): Promise<{ body: unknown; duplicates: string[] }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw tooLarge(maxBodyBytes);
    chunks.push(chunk);
  }
  if (size === 0) return { body: undefined, duplicates: [] };
  const type = mediaType(request);
  const accepted = types.length > 0 ? types : ['application/json', 'application/yaml', protobufMediaType];
  if (type !== '' && !accepted.includes(type)) throw unsupportedMedia(accepted);
  const bytes = Buffer.concat(chunks);
  if (type === protobufMediaType) return { body: decodeProtobuf(bytes), duplicates: [] };
  const text = bytes.toString('utf8');
  const body = parseText(text, type);
  checkDepth(body);
  return { body, duplicates: text.trimStart().startsWith('{') ? duplicateFields(text) : [] };
}

export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function parseText(text: string, type: string): unknown {
  try {
    if (!type.endsWith('yaml')) return JSON.parse(text) as unknown;
    return text.trimStart().startsWith('{')
      ? (JSON.parse(text) as unknown)
      : (parseYaml(text, { maxAliasCount: 100 }) as unknown);
  } catch (error) {
    throw badRequest(`error decoding the body: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`);
  }
}
