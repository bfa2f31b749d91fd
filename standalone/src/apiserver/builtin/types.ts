import type { FieldError, JsonObject, Schema } from '@millrace/api/validation';
import { applySchemaDefaults, pruneUnknown, validateSchema } from '@millrace/api/validation';
import type { KubeObject } from '../object.ts';
import { asJson, fromJson } from '../object.ts';
import type { Column, ResourceType } from '../resource-type.ts';
import { badRequest } from '../status.ts';
import * as columns from './columns.ts';
import {
  defaultCrd,
  mergeStringData,
  validateBudget,
  validateConfigMap,
  validateEvent,
  validateLease,
  validateSecret,
} from './content.ts';
import { defaultPod, newPodStatus, validatePod } from './pod.ts';
import { builtinSchema } from './schemas.ts';

interface Definition {
  api: string;
  model: string;
  kind: string;
  plural: string;
  shortNames?: string[];
  categories?: string[];
  clusterScoped?: boolean;
  subresources?: ResourceType['subresources'];
  columns?: Column[];
  fieldSelectors?: Record<string, string>;
  countsGeneration?: boolean;
  keepsStatusOnCreate?: boolean;
  virtual?: boolean;
  nameStyle?: ResourceType['nameStyle'];
  applyDefaults?: (object: JsonObject) => void;
  validate?: (object: KubeObject, old?: KubeObject) => FieldError[];
  prepareCreate?: (object: KubeObject, nowMs: number) => void;
}

function define(definition: Definition): ResourceType {
  const { api, model, kind, plural } = definition;
  const [group, version] = api.includes('/') ? (api.split('/') as [string, string]) : ['', api];
  const schema: Schema = builtinSchema(model);
  const selectors = Object.entries(definition.fieldSelectors ?? {}).map(([name, path]) => [name, path.split('.')] as const);
  return {
    group,
    version,
    plural,
    kind,
    singular: kind.toLowerCase(),
    listKind: `${kind}List`,
    shortNames: definition.shortNames ?? [],
    categories: definition.categories ?? [],
    namespaced: !definition.clusterScoped,
    subresources: definition.subresources ?? [],
    virtual: definition.virtual,
    custom: false,
    deletesCollections: kind !== 'Namespace',
    schema,
    columns: definition.columns ?? columns.plainColumns,
    fieldSelectors: Object.fromEntries(selectors),
    countsGeneration: definition.countsGeneration ?? false,
    keepsStatusOnCreate: definition.keepsStatusOnCreate ?? !definition.subresources?.includes('status'),
    nameStyle: definition.nameStyle ?? 'subdomain',
    applyDefaults: (object) => {
      applySchemaDefaults(object, schema);
      definition.applyDefaults?.(object);
    },
    prune: (object) => pruneUnknown(object, schema),
    validate: (object, old) => {
      const errors = schemaErrors(kind, version, validateSchema(asJson(object), schema, '', old && asJson(old)));
      return errors.length > 0 ? errors : (definition.validate?.(object, old) ?? []);
    },
    prepareCreate: definition.prepareCreate,
  };
}

/**
 * Built-in kinds are decoded into Go types: a body that does not fit them is a malformed request and never becomes an object. List types only
 * determine how lists are applied.
 */
function schemaErrors(kind: string, version: string, errors: FieldError[]): FieldError[] {
  const unfit = errors.find((error) => error.reason === 'FieldValueTypeInvalid');
  if (unfit) throw badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${unfit.field}: ${unfit.message}`);
  return errors.filter((error) => error.reason !== 'FieldValueDuplicate');
}

/** The CRD type; its validation is added by the CRD controller, which can compile schemas. */
export const crdType = define({
  api: 'apiextensions.k8s.io/v1',
  model: 'V1CustomResourceDefinition',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  clusterScoped: true,
  subresources: ['status'],
  columns: columns.crdColumns,
  countsGeneration: true,
  applyDefaults: defaultCrd,
});

export const builtinTypes: ResourceType[] = [
  define({
    api: 'v1',
    model: 'V1Namespace',
    kind: 'Namespace',
    plural: 'namespaces',
    shortNames: ['ns'],
    clusterScoped: true,
    subresources: ['status'],
    columns: columns.namespaceColumns,
    fieldSelectors: { 'status.phase': 'status.phase' },
    nameStyle: 'label',
    applyDefaults: (namespace) => {
      const { metadata } = fromJson(namespace);
      metadata.labels = { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name };
    },
    prepareCreate: (namespace) => {
      namespace.spec = { finalizers: ['kubernetes'] };
      namespace.status = { phase: 'Active' };
    },
  }),
  define({
    api: 'v1',
    model: 'V1Node',
    kind: 'Node',
    plural: 'nodes',
    shortNames: ['no'],
    clusterScoped: true,
    subresources: ['status'],
    columns: columns.nodeColumns,
    fieldSelectors: { 'spec.unschedulable': 'spec.unschedulable' },
    keepsStatusOnCreate: true,
  }),
  define({
    api: 'v1',
    model: 'V1Pod',
    kind: 'Pod',
    plural: 'pods',
    shortNames: ['po'],
    categories: ['all'],
    subresources: ['status', 'binding', 'eviction', 'log'],
    columns: columns.podColumns,
    fieldSelectors: {
      'spec.nodeName': 'spec.nodeName',
      'spec.restartPolicy': 'spec.restartPolicy',
      'spec.schedulerName': 'spec.schedulerName',
      'spec.serviceAccountName': 'spec.serviceAccountName',
      'status.phase': 'status.phase',
      'status.podIP': 'status.podIP',
    },
    countsGeneration: true,
    applyDefaults: defaultPod,
    validate: validatePod,
    prepareCreate: (pod) => {
      pod.status = newPodStatus(pod);
    },
  }),
  define({
    api: 'v1',
    model: 'V1Secret',
    kind: 'Secret',
    plural: 'secrets',
    columns: columns.secretColumns,
    fieldSelectors: { type: 'type' },
    applyDefaults: mergeStringData,
    validate: validateSecret,
  }),
  define({
    api: 'v1',
    model: 'V1ConfigMap',
    kind: 'ConfigMap',
    plural: 'configmaps',
    shortNames: ['cm'],
    columns: columns.configMapColumns,
    validate: validateConfigMap,
  }),
  define({
    api: 'v1',
    model: 'V1ServiceAccount',
    kind: 'ServiceAccount',
    plural: 'serviceaccounts',
    shortNames: ['sa'],
    subresources: ['token'],
  }),
  define({
    api: 'v1',
    model: 'CoreV1Event',
    kind: 'Event',
    plural: 'events',
    shortNames: ['ev'],
    columns: columns.eventColumns,
    fieldSelectors: Object.fromEntries<string>(
      ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath']
        .map((field) => [`involvedObject.${field}`, `involvedObject.${field}`] as [string, string])
        .concat([
          ['reason', 'reason'],
          ['reportingComponent', 'reportingComponent'],
          ['source', 'source.component'],
          ['type', 'type'],
        ]),
    ),
    validate: validateEvent,
  }),
  define({
    api: 'coordination.k8s.io/v1',
    model: 'V1Lease',
    kind: 'Lease',
    plural: 'leases',
    columns: columns.leaseColumns,
    validate: validateLease,
  }),
  define({
    api: 'policy/v1',
    model: 'V1PodDisruptionBudget',
    kind: 'PodDisruptionBudget',
    plural: 'poddisruptionbudgets',
    shortNames: ['pdb'],
    subresources: ['status'],
    columns: columns.budgetColumns,
    countsGeneration: true,
    validate: validateBudget,
  }),
  crdType,
  define({
    api: 'authentication.k8s.io/v1',
    model: 'V1TokenReview',
    kind: 'TokenReview',
    plural: 'tokenreviews',
    clusterScoped: true,
    virtual: true,
  }),
  define({
    api: 'authentication.k8s.io/v1',
    model: 'V1SelfSubjectReview',
    kind: 'SelfSubjectReview',
    plural: 'selfsubjectreviews',
    clusterScoped: true,
    virtual: true,
  }),
  define({
    api: 'authorization.k8s.io/v1',
    model: 'V1SelfSubjectAccessReview',
    kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews',
    clusterScoped: true,
    virtual: true,
  }),
];
