import type { FieldError, JsonObject } from '@millrace/api/validation';
import { forbidden, invalid, isObject, jsonEqual, required } from '@millrace/api/validation';
import type { KubeObject } from '../object.ts';
import { badRequest } from '../status.ts';

// Defaults and validation of the smaller built-in kinds, beyond their schemas (API reference).

export function mergeStringData(secret: JsonObject): void {
  const plain = secret['stringData'];
  if (isObject(plain)) {
    const encoded = Object.entries(plain).map(([key, value]) => [
      key,
      Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64'),
    ]);
    secret['data'] = { ...(isObject(secret['data']) ? secret['data'] : {}), ...(Object.fromEntries(encoded) as JsonObject) };
    delete secret['stringData'];
  }
  secret['type'] ??= 'Opaque';
}

export function validateSecret(secret: KubeObject, old?: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  if (old && secret['type'] !== old['type']) errors.push(invalid('type', secret['type'] as string, 'field is immutable'));
  if (secret['type'] === 'kubernetes.io/tls') {
    for (const key of ['tls.crt', 'tls.key'])
      if (!Object.hasOwn(secret['data'] ?? {}, key)) errors.push(required(`data[${key}]`));
  }
  const size = sizeOf(secret['data'], (text) => Buffer.byteLength(text, 'base64'));
  return [...errors, ...tooLarge('data', size), ...validateKeys(secret, ['data']), ...frozenWhenImmutable(secret, old)];
}

/** Maximum size of a Secret or ConfigMap ("Secrets", "ConfigMaps": size). */
const maxContentBytes = 1024 * 1024;

function sizeOf(content: unknown, bytes: (text: string) => number): number {
  const values = isObject(content) ? Object.values(content) : [];
  return values.reduce<number>((sum, value) => sum + (typeof value === 'string' ? bytes(value) : 0), 0);
}

function tooLarge(field: string, bytes: number): FieldError[] {
  if (bytes <= maxContentBytes) return [];
  return [{ reason: 'FieldValueTooLong', field, message: `Too long: may not be more than ${maxContentBytes} bytes` }];
}

export function validateConfigMap(map: KubeObject, old?: KubeObject): FieldError[] {
  const twice = Object.keys(map['data'] ?? {}).filter((key) => Object.hasOwn(map['binaryData'] ?? {}, key));
  const duplicates = twice.map((key) => invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
  const text = sizeOf(map['data'], (value) => Buffer.byteLength(value));
  const size = text + sizeOf(map['binaryData'], (value) => Buffer.byteLength(value, 'base64'));
  return [...tooLarge('[]', size), ...validateKeys(map, ['data', 'binaryData']), ...duplicates, ...frozenWhenImmutable(map, old)];
}

function validateKeys(object: KubeObject, fields: string[]): FieldError[] {
  const text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
  return fields.flatMap((field) => {
    const bad = Object.keys(object[field] ?? {}).filter((key) => !/^[-._a-zA-Z0-9]{1,253}$/.test(key));
    return bad.map((key) => invalid(`${field}[${key}]`, key, text));
  });
}

function frozenWhenImmutable(object: KubeObject, old?: KubeObject): FieldError[] {
  if (old?.['immutable'] !== true) return [];
  const why = 'field is immutable when `immutable` is set';
  const content = (of: KubeObject) => ({ data: of['data'] ?? null, binaryData: of['binaryData'] ?? null }) as JsonObject;
  return [
    ...(object['immutable'] === true ? [] : [forbidden('immutable', why)]),
    ...(jsonEqual(content(object), content(old)) ? [] : [forbidden('data', why)]),
  ];
}

export function defaultCrd(crd: JsonObject): void {
  const spec = crd['spec'];
  if (!isObject(spec)) return;
  spec['conversion'] ??= { strategy: 'None' };
  const names = spec['names'];
  if (!isObject(names) || typeof names['kind'] !== 'string') return;
  names['singular'] ??= names['kind'].toLowerCase();
  names['listKind'] ??= `${names['kind']}List`;
}

export function validateLease(lease: KubeObject): FieldError[] {
  const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = lease.spec ?? {};
  for (const field of ['acquireTime', 'renewTime']) {
    const time = lease.spec?.[field];
    // metav1.MicroTime: exactly six digits of a second.
    if (typeof time === 'string' && !/\.\d{6}(Z|[+-]\d{2}:\d{2})$/.test(time))
      throw badRequest(
        `Lease in version "v1" cannot be handled as a Lease: spec.${field}: ${JSON.stringify(time)} is no time with microseconds, such as 2006-01-02T15:04:05.000000Z`,
      );
  }
  return [
    ...(typeof seconds === 'number' && seconds <= 0
      ? [invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0')]
      : []),
    ...(typeof transitions === 'number' && transitions < 0
      ? [invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0')]
      : []),
  ];
}

export function validateBudget(budget: KubeObject): FieldError[] {
  const spec = budget.spec ?? {};
  const both = spec['minAvailable'] !== undefined && spec['maxUnavailable'] !== undefined;
  const shares = (['minAvailable', 'maxUnavailable'] as const).filter((field) => {
    const share = spec[field];
    return typeof share === 'string' && !/^\d+%$/.test(share);
  });
  return [
    ...(both ? [invalid('spec', 'object', 'minAvailable and maxUnavailable cannot be both set')] : []),
    ...shares.map((field) =>
      invalid(`spec.${field}`, spec[field], "a valid percent string must be a numeric string followed by an ending '%'"),
    ),
  ];
}

export function validateEvent(event: KubeObject): FieldError[] {
  const involved = event['involvedObject'] as JsonObject | undefined;
  if (!involved) return [required('involvedObject')];
  const namespace = involved['namespace'] ?? 'default';
  return namespace === event.metadata.namespace
    ? []
    : [invalid('involvedObject.namespace', namespace, 'does not match event.namespace')];
}
