import { z } from 'zod';
import { CHALLENGE, type Answer, type Content, type Operation, type Service } from './operation.ts';
import { meaningOf } from './access.ts';
import { named } from './schemas.ts';

type OpenApiObject = Record<string, unknown>;

/** The OpenAPI 3.1 document of a service. Equal input gives equal output, key order included. */
export function openApiDocument(service: Service): OpenApiObject {
  const components = new Components();
  const paths: Record<string, OpenApiObject> = {};
  for (const operation of service.operations) {
    const path = (paths[operation.path] ??= {});
    path[operation.method.toLowerCase()] = operationObject(operation, service, components);
  }
  const securitySchemes = {
    bearer: { type: 'http', scheme: 'bearer', description: 'An app key for control, a media token for a media node' },
  };
  const isSecured = service.operations.some(({ access }) => takesBearer(access));
  return {
    openapi: '3.1.0',
    info: {
      title: service.title,
      version: 'v1',
      description: service.description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: service.server }],
    tags: [...new Set(service.operations.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: { schemas: components.schemas(), ...(isSecured ? { securitySchemes } : {}) },
  };
}

function operationObject(operation: Operation, service: Service, components: Components): OpenApiObject {
  const { id, tag, summary, detail, access, body } = operation;
  const answers = { ...service.always, ...operation.answers };
  const parameters = parametersOf(operation, components);
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: [detail, `Who may: ${meaningOf(access)}.`].filter(Boolean).join(' '),
    ...(takesBearer(access) ? { security: isOptional(access) ? [{ bearer: [] }, {}] : [{ bearer: [] }] } : { security: [] }),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: true, content: contentObject(body, components) } } : {}),
    responses: Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, answerObject(answer, components)])),
  };
}

function parametersOf(operation: Operation, components: Components): OpenApiObject[] {
  const inPath = Object.entries(operation.parameters ?? {}).map(([name, schema]) => ({
    name,
    in: 'path',
    required: true,
    schema: components.schema(schema),
  }));
  const inQuery = Object.entries(operation.query?.shape ?? {}).map(([name, type]) => {
    const { description, ...schema } = components.schema(type as z.ZodType);
    return { name, in: 'query', required: false, ...(description ? { description } : {}), schema };
  });
  const inHeader = Object.entries(operation.headers ?? {}).map(([name, description]) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  }));
  return [...inPath, ...inQuery, ...inHeader];
}

function answerObject({ description, content, headers, events }: Answer, components: Components): OpenApiObject {
  return {
    description,
    ...(headers
      ? {
          headers: Object.fromEntries(
            Object.entries(headers).map(([name, meaning]) => [
              name,
              { description: meaning, required: headers !== CHALLENGE, schema: { type: 'string' } },
            ]),
          ),
        }
      : {}),
    ...(content ? { content: contentObject(content, components) } : {}),
    ...(events
      ? { 'x-events': Object.fromEntries(Object.entries(events).map(([name, schema]) => [name, components.schema(schema)])) }
      : {}),
  };
}

function contentObject(content: Content, components: Components): OpenApiObject {
  return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema: components.schema(schema) }]));
}

const takesBearer = (access: Operation['access']): boolean => ['app', 'push', 'pull', 'rtpPush', 'rtpPull'].includes(access);
/** A StreamRoute may let anyone in. */
const isOptional = (access: Operation['access']): boolean => access === 'push' || access === 'pull';

/** Named schemas become components; others stand where they are used. */
class Components {
  readonly #used = new Map<string, z.ZodType>();

  schema(type: z.ZodType): OpenApiObject {
    const name = named.get(type)?.id;
    if (name !== undefined) {
      this.#used.set(name, type);
      return { $ref: reference(name) };
    }
    const { $defs = {}, ...schema } = convert(type);
    for (const id of Object.keys($defs as OpenApiObject)) this.#use(id);
    return schema;
  }

  /** Every used one, with those that it uses, in order of name. */
  schemas(): OpenApiObject {
    const done: OpenApiObject = {};
    for (let todo = [...this.#used.keys()]; todo.length > 0; todo = [...this.#used.keys()].filter((id) => !(id in done))) {
      for (const id of todo) {
        const { $defs = {}, ...schema } = convert(this.#used.get(id)!);
        // A named schema is given as a reference to itself among the definitions.
        done[id] = schema['$ref'] === reference(id) ? ($defs as OpenApiObject)[id] : schema;
        for (const inner of Object.keys($defs as OpenApiObject)) this.#use(inner);
      }
    }
    return Object.fromEntries(Object.entries(done).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #use(id: string): void {
    this.#used.set(id, typeOf(id));
  }
}

function typeOf(id: string): z.ZodType {
  const found = named.all.find(([name]) => name === id);
  if (!found) throw new Error(`no schema is named ${id}`);
  return found[1];
}

const reference = (id: string): string => `#/components/schemas/${id}`;

/** `input`: what a value may be before it is parsed, which is what travels. */
function convert(type: z.ZodType): OpenApiObject {
  const schema = z.toJSONSchema(type, { metadata: named.registry, io: 'input', override: simplify }) as OpenApiObject;
  delete schema['$schema'];
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/')) as OpenApiObject;
}

/** A well-known format says more than the pattern that checks it. */
function simplify({ jsonSchema }: { jsonSchema: OpenApiObject }): void {
  delete jsonSchema['id'];
  if (['ipv4', 'ipv6', 'date-time', 'uri'].includes(String(jsonSchema['format']))) delete jsonSchema['pattern'];
  if (jsonSchema['contentEncoding'] === 'base64') {
    delete jsonSchema['pattern'];
    delete jsonSchema['format'];
  }
  if (jsonSchema['minimum'] === Number.MIN_SAFE_INTEGER) delete jsonSchema['minimum'];
  if (jsonSchema['maximum'] === Number.MAX_SAFE_INTEGER) delete jsonSchema['maximum'];
}
