/** A field of a protobuf message: its JSON name and type. */
export interface Field {
  name: string;
  type: 'string' | 'bytes' | 'bool' | 'int' | 'time' | 'intOrString' | Message;
  many?: 'list' | 'map';
}
/** Fields by number. */
export type Message = { readonly [number: number]: Field };

const text = (name: string): Field => ({ name, type: 'string' });
const flag = (name: string): Field => ({ name, type: 'bool' });
const int = (name: string): Field => ({ name, type: 'int' });
const time = (name: string): Field => ({ name, type: 'time' });
const of = (name: string, type: Message): Field => ({ name, type });
const list = (name: string, type: Field['type'] = 'string'): Field => ({ name, type, many: 'list' });
const map = (name: string, type: 'string' | 'bytes' = 'string'): Field => ({ name, type, many: 'map' });

// Numbers and names from generated.proto beside each API group in k8s.io/api and k8s.io/apimachinery; they never change.
const ownerReference: Message = {
  1: text('kind'),
  3: text('name'),
  4: text('uid'),
  5: text('apiVersion'),
  6: flag('controller'),
  7: flag('blockOwnerDeletion'),
};
const metadata = of('metadata', {
  1: text('name'),
  2: text('generateName'),
  3: text('namespace'),
  5: text('uid'),
  6: text('resourceVersion'),
  7: int('generation'),
  8: time('creationTimestamp'),
  9: time('deletionTimestamp'),
  10: int('deletionGracePeriodSeconds'),
  11: map('labels'),
  12: map('annotations'),
  13: list('ownerReferences', ownerReference),
  14: list('finalizers'),
});
const reference: Message = {
  1: text('kind'),
  2: text('namespace'),
  3: text('name'),
  4: text('uid'),
  5: text('apiVersion'),
  6: text('resourceVersion'),
  7: text('fieldPath'),
};
const deleteOptions: Message = {
  1: int('gracePeriodSeconds'),
  2: of('preconditions', { 1: text('uid'), 2: text('resourceVersion') }),
  3: flag('orphanDependents'),
  4: text('propagationPolicy'),
  5: list('dryRun'),
};
const selector: Message = {
  1: map('matchLabels'),
  2: list('matchExpressions', { 1: text('key'), 2: text('operator'), 3: list('values') }),
};
const tokenRequestSpec: Message = {
  1: list('audiences'),
  3: of('boundObjectRef', { 1: text('kind'), 2: text('apiVersion'), 3: text('name'), 4: text('uid') }),
  4: int('expirationSeconds'),
};
const resourceAttributes: Message = {
  1: text('namespace'),
  2: text('verb'),
  3: text('group'),
  4: text('version'),
  5: text('resource'),
  6: text('subresource'),
  7: text('name'),
};
const disruptionBudgetSpec: Message = {
  1: { name: 'minAvailable', type: 'intOrString' },
  2: of('selector', selector),
  3: { name: 'maxUnavailable', type: 'intOrString' },
  4: text('unhealthyPodEvictionPolicy'),
};

/** The kinds that kubectl's typed commands (create, drain, auth) send as protobuf. */
export const messages: Readonly<Record<string, Message>> = {
  Namespace: { 1: metadata, 2: of('spec', { 1: list('finalizers') }) },
  ConfigMap: { 1: metadata, 2: map('data'), 3: map('binaryData', 'bytes'), 4: flag('immutable') },
  Secret: { 1: metadata, 2: map('data', 'bytes'), 3: text('type'), 4: map('stringData'), 5: flag('immutable') },
  ServiceAccount: {
    1: metadata,
    2: list('secrets', reference),
    3: list('imagePullSecrets', { 1: text('name') }),
    4: flag('automountServiceAccountToken'),
  },
  Binding: { 1: metadata, 2: of('target', reference) },
  DeleteOptions: deleteOptions,
  Eviction: { 1: metadata, 2: of('deleteOptions', deleteOptions) },
  PodDisruptionBudget: { 1: metadata, 2: of('spec', disruptionBudgetSpec) },
  TokenRequest: { 1: metadata, 2: of('spec', tokenRequestSpec) },
  SelfSubjectReview: { 1: metadata },
  SelfSubjectAccessReview: {
    1: metadata,
    2: of('spec', {
      1: of('resourceAttributes', resourceAttributes),
      2: of('nonResourceAttributes', { 1: text('path'), 2: text('verb') }),
    }),
  },
};
