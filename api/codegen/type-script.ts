import type { Schema } from '../src/validation/index.ts';
import type { CrdFile } from './crd-files.ts';

const NOTE = '// Generated from crds/*.yaml by `npm run generate`. Change it there.\n';

/** Types of one kind as the API server gives it back: what has a default is always there. */
export function kindModule(crd: CrdFile): string {
  const { kind, plural, manifest, version, root } = crd;
  const interfaces = new Interfaces();
  const spec = interfaces.add(`${kind}Spec`, kind, property(root, 'spec'));
  const status = interfaces.add(`${kind}Status`, `${kind}Status`, property(root, 'status'));
  const constants = constantName(kind);
  const imports = `import type { CustomResource, ResourceMeta } from './resource.ts';\n`;
  const condition = interfaces.usesCondition ? `import type { Condition } from './condition.ts';\n` : '';
  return `${NOTE}${condition}${imports}
export const ${constants}_KIND = '${kind}';

/** Where the API serves it. */
export const ${variableName(kind, plural)}: CustomResource<${kind}> = {
  group: '${manifest.spec.group}', version: '${version.name}', plural: '${plural}', kind: ${constants}_KIND, namespaced: true,
};

${docComment(root.description)}export interface ${kind} {
  apiVersion?: '${manifest.spec.group}/${version.name}';
  kind?: '${kind}';
  metadata: ResourceMeta;
  spec: ${spec};
  status?: ${status};
}

${interfaces.text()}`;
}

/** The condition that all kinds share; throws when two of them differ. */
export function conditionModule(crds: readonly CrdFile[]): string {
  const schemas = crds.map((crd) => conditionSchema(crd));
  const first = schemas[0];
  if (!first || schemas.some((schema) => JSON.stringify(schema) !== JSON.stringify(first)))
    throw new Error('status.conditions[]: must be the same in every CRD');
  const interfaces = new Interfaces();
  interfaces.add('Condition', 'Condition', first, true);
  return `${NOTE}\n${interfaces.text()}`;
}

export function indexModule(crds: readonly CrdFile[]): string {
  const modules = ['resource', 'condition', ...crds.map((crd) => moduleName(crd))];
  return `${NOTE}\n${modules.map((name) => `export * from './${name}.ts';`).join('\n')}\n`;
}

/** The CRDs themselves, for validators and for whoever installs them. */
export function definitionsModule(crds: readonly CrdFile[]): string {
  const imports = crds.map((crd) => `import ${crd.name} from './${crd.name}.json' with { type: 'json' };`);
  const constants = crds.map((crd) => `export const ${definitionName(crd.kind)} = ${crd.name} as unknown as CrdManifest;`);
  return `${NOTE}import type { CrdManifest } from '../../validation/index.ts';\n${imports.join('\n')}\n
${constants.join('\n')}

/** Every CRD of Millrace. */
export const crdDefinitions: readonly CrdManifest[] = [${crds.map((crd) => definitionName(crd.kind)).join(', ')}];
`;
}

export const RESOURCE_MODULE = `${NOTE}
/** Where a kind lives in the API; \`T\` is the type of its objects. */
export interface CustomResource<T> {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Only carries the type. */
  readonly object?: T;
}

/** metadata as it stands in JSON; times are RFC 3339. */
export interface ResourceMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean; blockOwnerDeletion?: boolean }[];
  creationTimestamp?: string;
  deletionTimestamp?: string;
}
`;

export function moduleName(crd: CrdFile): string {
  return crd.kind.replace(/(?<=.)[A-Z]/g, '-$&').toLowerCase();
}

class Interfaces {
  usesCondition = false;
  readonly #blocks: string[] = [];

  text(): string {
    return this.#blocks.join('\n');
  }

  /** Declares an interface and those below it, whose names start with \`prefix\`; returns its name. */
  add(name: string, prefix: string, schema: Schema, isCondition = false): string {
    const place = this.#blocks.push('') - 1;
    const required = new Set(schema.required ?? []);
    const lines = Object.entries(schema.properties ?? {}).map(([key, child]) => {
      const optional = required.has(key) || child.default !== undefined ? '' : '?';
      return `${docComment(describe(child))}${key}${optional}: ${this.#type(prefix, key, child, isCondition)};\n`;
    });
    this.#blocks[place] = `${docComment(schema.description)}export interface ${name} {\n${lines.join('')}}\n`;
    return name;
  }

  #type(prefix: string, key: string, schema: Schema, isCondition: boolean): string {
    if (schema.type === 'array') {
      if (key === 'conditions' && !isCondition) {
        this.usesCondition = true;
        return 'Condition[]';
      }
      const item = this.#type(prefix, singular(key), schema.items ?? {}, isCondition);
      return /[|]/.test(item) ? `(${item})[]` : `${item}[]`;
    }
    if (schema.type === 'object') {
      const values = schema.additionalProperties;
      if (typeof values === 'object') return `Record<string, ${this.#type(prefix, key, values, isCondition)}>`;
      const name = `${prefix}${key[0]!.toUpperCase()}${key.slice(1)}`;
      return this.add(name, name, schema);
    }
    if (schema.enum) return schema.enum.map((value) => `'${String(value as string)}'`).join(' | ');
    return schema.type === 'integer' ? 'number' : (schema.type ?? 'unknown');
  }
}

function describe(schema: Schema): string {
  const plain = schema.default !== undefined && typeof schema.default !== 'object';
  return `${schema.description ?? ''}${plain ? ` Default: ${JSON.stringify(schema.default)}.` : ''}`.trim();
}

function conditionSchema(crd: CrdFile): Schema {
  return property(property(crd.root, 'status'), 'conditions').items ?? {};
}

function property(schema: Schema, key: string): Schema {
  const child = schema.properties?.[key];
  if (!child) throw new Error(`no property ${key} in the schema`);
  return child;
}

const docComment = (text: string | undefined): string => (text ? `/** ${text} */\n` : '');
const constantName = (kind: string): string => kind.replace(/(?<=.)[A-Z]/g, '_$&').toUpperCase();
const lowerFirst = (text: string): string => text[0]!.toLowerCase() + text.slice(1);
const variableName = (kind: string, plural: string): string => lowerFirst(kind) + plural.slice(kind.length);
const definitionName = (kind: string): string => `${lowerFirst(kind)}Crd`;
const singular = (key: string): string => (key.endsWith('ies') ? `${key.slice(0, -3)}y` : key.replace(/s$/, ''));
