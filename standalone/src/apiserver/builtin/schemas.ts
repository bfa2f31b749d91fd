import * as kubernetes from '@kubernetes/client-node';
import type { Schema } from '@millrace/api/validation';

interface Attribute {
  baseName: string;
  type: string;
  format: string;
}
type Model = { getAttributeTypeMap(): Attribute[] };

/** Lists that merge by key (`x-kubernetes-list-type: map` and strategic merge), as the Kubernetes API reference documents them. */
const mapLists: Record<string, string[]> = {
  'V1ObjectMeta.ownerReferences': ['uid'],
  'V1PodSpec.containers': ['name'],
  'V1PodSpec.initContainers': ['name'],
  'V1PodSpec.volumes': ['name'],
  'V1PodSpec.imagePullSecrets': ['name'],
  'V1PodSpec.hostAliases': ['ip'],
  'V1PodSpec.topologySpreadConstraints': ['topologyKey', 'whenUnsatisfiable'],
  'V1PodSpec.schedulingGates': ['name'],
  'V1Container.env': ['name'],
  'V1Container.ports': ['containerPort', 'protocol'],
  'V1Container.volumeMounts': ['mountPath'],
  'V1Container.volumeDevices': ['devicePath'],
  'V1PodStatus.conditions': ['type'],
  'V1PodStatus.podIPs': ['ip'],
  'V1NodeStatus.conditions': ['type'],
  'V1NodeStatus.addresses': ['type'],
  'V1NamespaceStatus.conditions': ['type'],
  'V1PodDisruptionBudgetStatus.conditions': ['type'],
  'V1CustomResourceDefinitionStatus.conditions': ['type'],
  'V1ServiceAccount.secrets': ['name'],
};
const setLists = new Set(['V1ObjectMeta.finalizers', 'V1NodeSpec.podCIDRs', 'V1NamespaceSpec.finalizers']);
const atomicStructs = new Set(
  'V1LabelSelector V1NodeSelector V1SecretKeySelector V1ConfigMapKeySelector V1ObjectFieldSelector V1ResourceFieldSelector V1ObjectReference V1LocalObjectReference V1OwnerReference V1TypedLocalObjectReference V1NodeSelectorTerm'.split(
    ' ',
  ),
);
const required: Record<string, string[]> = {
  V1PodSpec: ['containers'],
  V1Container: ['name'],
  V1EnvVar: ['name'],
  V1VolumeMount: ['name', 'mountPath'],
  V1Volume: ['name'],
  V1ContainerPort: ['containerPort'],
  V1OwnerReference: ['apiVersion', 'kind', 'name', 'uid'],
  V1ObjectFieldSelector: ['fieldPath'],
  V1SecretKeySelector: ['key'],
  V1ConfigMapKeySelector: ['key'],
  V1ServiceAccountTokenProjection: ['path'],
  V1KeyToPath: ['key', 'path'],
  V1HTTPGetAction: ['port'],
  V1TCPSocketAction: ['port'],
};
const fieldDefaults: Record<string, Schema['default']> = {
  'V1ContainerPort.protocol': 'TCP',
  'V1ObjectFieldSelector.apiVersion': 'v1',
};
const quantities = new Set([
  'V1ResourceRequirements.limits',
  'V1ResourceRequirements.requests',
  'V1NodeStatus.capacity',
  'V1NodeStatus.allocatable',
]);
const free: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

const built = new Map<string, Schema>();

/**
 * The structural schema of a built-in type, taken from the models of the client library (which are generated from
 * Kubernetes' own OpenAPI document), with list and map types added from the API reference.
 */
export function builtinSchema(model: string): Schema {
  const known = built.get(model);
  if (known) return known;
  const attributes = (kubernetes as unknown as Record<string, Model | undefined>)[model]?.getAttributeTypeMap();
  if (!attributes) throw new Error(`no model ${model} in the Kubernetes client`);
  const properties: Record<string, Schema> = {};
  const schema: Schema = { type: 'object', properties };
  if (required[model]) schema.required = required[model];
  if (atomicStructs.has(model)) schema['x-kubernetes-map-type'] = 'atomic';
  built.set(model, schema);
  for (const attribute of attributes)
    properties[attribute.baseName] = attributeSchema(`${model}.${attribute.baseName}`, attribute);
  return schema;
}

function attributeSchema(path: string, { type, format }: Attribute): Schema {
  const schema = { ...typeSchema(type, format) };
  if (quantities.has(path)) schema.additionalProperties = { 'x-kubernetes-int-or-string': true };
  if (fieldDefaults[path] !== undefined) schema.default = fieldDefaults[path];
  if (schema.type !== 'array') return schema;
  const keys = mapLists[path];
  if (keys) {
    schema['x-kubernetes-list-type'] = 'map';
    schema['x-kubernetes-list-map-keys'] = keys;
    schema['x-kubernetes-patch-strategy'] = path === 'V1PodSpec.volumes' ? 'merge,retainKeys' : 'merge';
    schema['x-kubernetes-patch-merge-key'] = keys[0];
  } else if (setLists.has(path)) {
    schema['x-kubernetes-list-type'] = 'set';
    schema['x-kubernetes-patch-strategy'] = 'merge';
  } else schema['x-kubernetes-list-type'] = 'atomic';
  return schema;
}

function typeSchema(type: string, format: string): Schema {
  const array = /^Array<(.*)>$/.exec(type)?.[1];
  if (array) return { type: 'array', items: typeSchema(array, '') };
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
  if (map) return { type: 'object', additionalProperties: typeSchema(map, format) };
  switch (type) {
    case 'string':
      return format ? { type: 'string', format } : { type: 'string' };
    case 'number':
      return { type: format === 'double' ? 'number' : 'integer', ...(format ? { format } : {}) };
    case 'boolean':
      return { type: 'boolean' };
    case 'Date':
      return { type: 'string', format: 'date-time', nullable: true };
    case 'V1MicroTime':
      return { type: 'string', format: 'date-time', nullable: true };
    case 'IntOrString':
      return { 'x-kubernetes-int-or-string': true };
    case 'any':
      return { 'x-kubernetes-preserve-unknown-fields': true };
    case 'object':
    case 'V1JSONSchemaProps':
      return free;
    default:
      return builtinSchema(type);
  }
}

export const metadataSchema: Schema = builtinSchema('V1ObjectMeta');
