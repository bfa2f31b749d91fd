import type { JsonObject, Schema } from './schema.ts';
import { isObject } from './schema.ts';
import { invalid } from './field-error.ts';
import type { FieldError } from './field-error.ts';
import { compileRules, evaluateRules } from './cel.ts';
import { applySchemaDefaults, dropNulls, pruneUnknown } from './structure.ts';
import { validateSchema } from './validate.ts';

/** The parts of an apiextensions.k8s.io/v1 CustomResourceDefinition that validation reads. */
export interface CrdManifest {
  apiVersion?: string;
  kind?: string;
  metadata?: { name?: string; [key: string]: unknown };
  spec: {
    group: string;
    scope: 'Namespaced' | 'Cluster';
    names: { kind: string; plural: string; singular?: string; listKind?: string; shortNames?: string[]; categories?: string[] };
    versions: CrdVersion[];
    [key: string]: unknown;
  };
}
export interface CrdVersion {
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  deprecationWarning?: string;
  schema?: { openAPIV3Schema?: Schema };
  subresources?: {
    status?: object;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: {
    name: string;
    type: string;
    jsonPath: string;
    format?: string;
    description?: string;
    priority?: number;
  }[];
  selectableFields?: { jsonPath: string }[];
}

/** What a CRD version says about its objects. All methods take whole objects (apiVersion, kind, metadata, spec, status). */
export interface CompiledCrd {
  group: string;
  kind: string;
  version: string;
  schema: Schema;
  /** Every error, schema first; CEL rules run only when no error makes their evaluation meaningless. `old` makes it an update. */
  validate(object: JsonObject, old?: JsonObject): FieldError[];
  /** Fills in defaults, in place. */
  applyDefaults(object: JsonObject): void;
  /** Removes unknown fields, in place; returns their paths. */
  prune(object: JsonObject): string[];
}

const metadataSchema: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const blocking = new Set([
  'FieldValueRequired',
  'FieldValueTypeInvalid',
  'FieldValueNotSupported',
  'FieldValueTooLong',
  'FieldValueTooMany',
]);

/** Compiles one version (default: the storage version) of a CRD. Throws an Error with the path when schema or rules do not compile. */
export function compileCrd(crd: CrdManifest, versionName?: string): CompiledCrd {
  const version = crd.spec.versions.find((candidate) => (versionName ? candidate.name === versionName : candidate.storage));
  if (!version)
    throw new Error(
      `spec.versions: no ${versionName ? `version ${versionName}` : 'storage version'} in ${crd.spec.names.plural}`,
    );
  const declared = version.schema?.openAPIV3Schema;
  if (!declared) throw new Error(`spec.versions[${version.name}].schema.openAPIV3Schema: Required value`);
  const schema: Schema = {
    ...declared,
    properties: { apiVersion: { type: 'string' }, kind: { type: 'string' }, ...declared.properties, metadata: metadataSchema },
  };
  const rules = compileRules(schema);
  return {
    group: crd.spec.group,
    kind: crd.spec.names.kind,
    version: version.name,
    schema,
    validate: (object, old) => {
      const errors = validateSchema(object, schema, '', old);
      if (!errors.some((error) => blocking.has(error.reason))) return [...errors, ...evaluateRules(rules, object, '', old)];
      if (!rules) return errors;
      const skipped =
        'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';
      return [...errors, invalid('<nil>', null, skipped)];
    },
    applyDefaults: (object) => {
      dropNulls(object, schema);
      applySchemaDefaults(object, schema);
    },
    prune: (object) => pruneUnknown(object, schema),
  };
}

/** Narrows parsed YAML or JSON to a CRD manifest; throws an Error that names what is missing. */
export function parseCrd(value: unknown): CrdManifest {
  if (!isObject(value) || value['kind'] !== 'CustomResourceDefinition') throw new Error('kind: must be CustomResourceDefinition');
  const spec = value['spec'];
  if (!isObject(spec)) throw new Error('spec: Required value');
  if (typeof spec['group'] !== 'string') throw new Error('spec.group: Required value');
  const names = spec['names'];
  if (!isObject(names) || typeof names['kind'] !== 'string' || typeof names['plural'] !== 'string')
    throw new Error('spec.names: kind and plural are required');
  if (!Array.isArray(spec['versions']) || spec['versions'].length === 0) throw new Error('spec.versions: Required value');
  return value as unknown as CrdManifest;
}
