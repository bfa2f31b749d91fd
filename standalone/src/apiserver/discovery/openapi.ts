import { createHash } from 'node:crypto';
import type { Schema } from '@millrace/api/validation';
import type { Registry } from '../registry.ts';
import type { ResourceType } from '../resource-type.ts';

const pathOf = (type: { group: string; version: string }) =>
  type.group ? `apis/${type.group}/${type.version}` : `api/${type.version}`;

/** `/openapi/v3`: the path of each group version's document; its hash allows clients to cache it. */
export function openApiIndex(registry: Registry): object {
  const paths = [...new Set(registry.all().map(pathOf))].map((path) => {
    const hash = createHash('sha256')
      .update(JSON.stringify(groupDocument(registry, path.split('/'))))
      .digest('hex');
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash.toUpperCase()}` }];
  });
  return { paths: Object.fromEntries(paths) as object };
}

/** The OpenAPI v3 document of one group version, for `kubectl explain` and apply; undefined when it is not served. */
export function groupDocument(registry: Registry, parts: string[]): object | undefined {
  const types = registry.all().filter((type) => pathOf(type) === parts.join('/'));
  if (types.length === 0) return undefined;
  const schemas = types.map((type) => [
    schemaName(type),
    { ...documented(type.schema), 'x-kubernetes-group-version-kind': [gvk(type)] },
  ]);
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.36.0' },
    paths: Object.fromEntries(types.flatMap(pathItems)) as object,
    components: { schemas: Object.fromEntries(schemas) as object },
  };
}

const gvk = ({ group, version, kind }: ResourceType) => ({ group, version, kind });

function schemaName({ group, version, kind }: ResourceType): string {
  const domain = group === '' ? ['io', 'k8s', 'api', 'core'] : group.split('.').reverse();
  return [...domain, version, kind].join('.');
}

/** The schema as published: CEL rules and the like stay, recursion does not occur. */
function documented(schema: Schema): Schema {
  const { apiVersion, kind, ...rest } = schema.properties ?? {};
  const text = { type: 'string' as const };
  return { ...schema, properties: { apiVersion: { ...text, ...apiVersion }, kind: { ...text, ...kind }, ...rest } };
}

function pathItems(type: ResourceType): [string, object][] {
  const base = `/${pathOf(type)}/${type.namespaced ? 'namespaces/{namespace}/' : ''}${type.plural}`;
  const parameter = (name: string) => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } });
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation'].map(parameter);
  const reference = { $ref: `#/components/schemas/${schemaName(type)}` };
  const operation = (action: string, withBody: boolean) => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(type),
    parameters,
    ...(withBody ? { requestBody: { content: { '*/*': { schema: reference } } } } : {}),
    responses: { 200: { description: 'OK', content: { 'application/json': { schema: reference } } } },
  });
  const collection: [string, object] = [base, { get: operation('list', false), post: operation('post', true) }];
  if (type.virtual) return [[base, { post: operation('post', true) }]];
  const item = {
    get: operation('get', false),
    put: operation('put', true),
    patch: operation('patch', true),
    delete: operation('delete', false),
  };
  return [collection, [`${base}/{name}`, item]];
}
