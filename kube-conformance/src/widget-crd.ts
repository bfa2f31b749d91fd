const spec = {
  type: 'object',
  required: ['size'],
  properties: {
    size: { type: 'integer', minimum: 1, maximum: 10, description: 'How big it is.' },
    region: {
      type: 'string',
      maxLength: 20,
      'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'region is immutable' }],
    },
    replicas: { type: 'integer', minimum: 0, default: 1 },
    mode: { type: 'string', enum: ['A', 'B'], default: 'A' },
    code: { type: 'string', pattern: '^[a-z]+$', minLength: 2, maxLength: 5 },
    ratio: { type: 'number', exclusiveMinimum: true, minimum: 0 },
    port: { 'x-kubernetes-int-or-string': true },
    note: { type: 'string', nullable: true },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    limits: { type: 'object', maxProperties: 2, additionalProperties: { type: 'string', maxLength: 20 } },
    reference: {
      type: 'object',
      'x-kubernetes-map-type': 'atomic',
      properties: { name: { type: 'string' }, key: { type: 'string' } },
    },
    nested: { type: 'object', properties: { deep: { type: 'string', default: 'd' }, other: { type: 'string' } } },
    tags: { type: 'array', maxItems: 5, items: { type: 'string', maxLength: 20 }, 'x-kubernetes-list-type': 'set' },
    ports: {
      type: 'array',
      maxItems: 10,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, port: { type: 'integer' }, note: { type: 'string' } },
      },
    },
    steps: { type: 'array', items: { type: 'string' } },
    min: { type: 'integer' },
    max: { type: 'integer' },
    growth: {
      type: 'integer',
      'x-kubernetes-validations': [
        {
          rule: 'oldSelf.hasValue() ? self >= oldSelf.value() : self == 1',
          optionalOldSelf: true,
          message: 'growth starts at 1 and never shrinks',
        },
      ],
    },
  },
  'x-kubernetes-validations': [
    { rule: '!has(self.min) || !has(self.max) || self.min <= self.max', message: 'min must not exceed max' },
    {
      rule: '!has(self.max) || self.max < 100',
      messageExpression: "self.max > 150 ? 'max is far beyond 100' : 'max is not below 100'",
      fieldPath: '.max',
      reason: 'FieldValueForbidden',
    },
  ],
};

const status = {
  type: 'object',
  properties: {
    replicas: { type: 'integer' },
    selector: { type: 'string' },
    conditions: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: {
        type: 'object',
        required: ['type'],
        properties: { type: { type: 'string' }, status: { type: 'string' } },
      },
    },
  },
};

const subresources = {
  status: {},
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.status.selector',
  },
};

const additionalPrinterColumns = [
  { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Mode', type: 'string', jsonPath: '.spec.mode', priority: 1 },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];

const version = (name: string, storage: boolean) => ({
  name,
  served: true,
  storage,
  subresources,
  additionalPrinterColumns,
  selectableFields: [{ jsonPath: '.spec.region' }],
  schema: {
    openAPIV3Schema: {
      type: 'object',
      required: ['spec'],
      description: 'A Widget has a bit of everything.',
      properties: { spec, status },
    },
  },
});

/** A CRD with some of every feature, in two versions. */
export const widgetCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.conformance.test' },
  spec: {
    group: 'conformance.test',
    scope: 'Namespaced',
    names: {
      plural: 'widgets',
      singular: 'widget',
      kind: 'Widget',
      listKind: 'WidgetList',
      shortNames: ['wd'],
      categories: ['all'],
    },
    versions: [version('v1', true), version('v1beta1', false)],
  },
};
