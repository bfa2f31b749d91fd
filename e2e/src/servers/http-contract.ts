import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { openApiDocument, type Answer, type Operation, type Service } from '@millrace/api/operations';

type Json = Record<string, unknown>;

export interface CheckedAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON. */
  json<T = Json>(): T;
}

export interface CallOptions {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string is sent as it is, with `type`; anything else as JSON. */
  readonly body?: unknown;
  readonly type?: string;
  readonly token?: string | undefined;
}

/** How long to listen to an event stream, ms. */
const LISTEN_MS = 300;

/** Calls a running server by operation id and validates each response against the document: status, media type, headers, body, events. */
export class HttpContract {
  readonly #service: Service;
  readonly #url: string;
  readonly #ajv: Ajv2020;
  readonly #document: Json;
  readonly #validators = new Map<object, ValidateFunction>();
  /** `operationId status` of every response so far. */
  readonly seen = new Set<string>();

  constructor(service: Service, url: string) {
    this.#service = service;
    this.#url = url;
    this.#document = closed(openApiDocument(service)) as Json;
    this.#ajv = new Ajv2020({ strict: false, allErrors: true });
    formats.default(this.#ajv);
  }

  get operations(): readonly Operation[] {
    return this.#service.operations;
  }

  /** `operationId status` of every response that the operations themselves document. */
  get documented(): string[] {
    return this.operations.flatMap(({ id, answers }) => Object.keys(answers).map((status) => `${id} ${status}`));
  }

  async call(id: string, options: CallOptions = {}): Promise<CheckedAnswer> {
    const operation = this.operations.find((each) => each.id === id);
    assert.ok(operation, `no operation ${id}`);
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(options.params?.[name] ?? ''));
    const url = new URL(this.#url + path);
    for (const [name, value] of Object.entries(options.query ?? {})) url.searchParams.set(name, value);
    const isText = typeof options.body === 'string';
    const type = options.type ?? (options.body === undefined ? undefined : isText ? 'application/sdp' : 'application/json');
    const ending = new AbortController();
    const response = await fetch(url, {
      method: operation.method,
      redirect: 'manual',
      headers: {
        ...(type ? { 'content-type': type } : {}),
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: isText ? options.body : JSON.stringify(options.body) }),
      signal: ending.signal,
    });
    const isEvents = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
    const text = isEvents ? await listen(response, ending) : await response.text();
    this.check(operation, response, text);
    return { status: response.status, headers: response.headers, text, json: <T>() => JSON.parse(text) as T };
  }

  /** @throws AssertionError naming what is not as documented */
  check(operation: Operation, response: Response, text: string): void {
    const { status, headers } = response;
    const what = `${operation.method} ${operation.path} answers ${status}`;
    const answer: Answer | undefined = { ...this.#service.always, ...operation.answers }[status];
    assert.ok(answer, `${what}, which is not documented: ${text.slice(0, 300)}`);
    assert.notEqual(status, 500, `${what}: ${text.slice(0, 300)}`);
    for (const name of Object.keys(answer.headers ?? {})) assert.ok(headers.has(name), `${what} without ${name}`);
    const type = headers.get('content-type')?.split(';', 1)[0];
    const { content, 'x-events': events = {} } = this.#answerObject(operation, status);
    if (!content) assert.equal(text, '', `${what} with a body`);
    else {
      assert.ok(type && type in content, `${what} as ${type}, documented is ${Object.keys(content).join(', ')}`);
      if (/json$/.test(type)) this.#validate(content[type]!.schema, JSON.parse(text), what);
    }
    for (const [event, data] of type === 'text/event-stream' ? eventsOf(text) : []) {
      assert.ok(event in events, `${what} with an event ${event}, which is not documented`);
      this.#validate(events[event]!, JSON.parse(data), `${what}, event ${event}`);
    }
    this.seen.add(`${operation.id} ${status}`);
  }

  #answerObject({ path, method }: Operation, status: number): AnswerObject {
    const paths = this.#document['paths'] as Record<string, Record<string, { responses: Record<string, AnswerObject> }>>;
    return paths[path]![method.toLowerCase()]!.responses[status]!;
  }

  #validate(schema: Json, value: unknown, what: string): void {
    let validate = this.#validators.get(schema);
    // References in the schema resolve to the document's components.
    if (!validate)
      this.#validators.set(schema, (validate = this.#ajv.compile({ ...schema, components: this.#document['components'] })));
    assert.ok(validate(value), `${what}: ${this.#ajv.errorsText(validate.errors)} in ${JSON.stringify(value).slice(0, 400)}`);
  }
}

interface AnswerObject {
  content?: Record<string, { schema: Json }>;
  'x-events'?: Record<string, Json>;
}

/** Forbids additional properties: clients must ignore them, but here an undocumented one is a fault. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const object = schema as Json;
  const copy = Object.fromEntries(Object.entries(object).map(([key, value]) => [key, closed(value)]));
  const isObjectSchema = object['type'] === 'object' && object['properties'] !== undefined && !('additionalProperties' in object);
  return isObjectSchema ? { ...copy, additionalProperties: false } : copy;
}

async function listen(response: Response, ending: AbortController): Promise<string> {
  const timer = setTimeout(() => ending.abort(), LISTEN_MS);
  let text = '';
  try {
    for await (const chunk of response.body!) text += Buffer.from(chunk as Uint8Array).toString();
  } catch {
    // Enough events have arrived.
  }
  clearTimeout(timer);
  return text.slice(0, text.lastIndexOf('\n\n') + 2);
}

function eventsOf(text: string): [string, string][] {
  return text.split('\n\n').flatMap((block): [string, string][] => {
    const fields = new Map(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    );
    return fields.has('data') ? [[fields.get('event') ?? 'message', fields.get('data')!]] : [];
  });
}
