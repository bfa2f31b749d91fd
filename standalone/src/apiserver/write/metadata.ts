import { randomInt, randomUUID } from 'node:crypto';
import type { FieldError } from '@millrace/api/validation';
import { invalid, isObject, required } from '@millrace/api/validation';
import type { KubeObject, ObjectMeta } from '../object.ts';
import { kubeTime } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/;
const subdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const labelValueText =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** A name no longer than 63 characters from `generateName`, as kube-apiserver makes them. */
function generatedName(prefix: string): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  const suffix = Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)]).join('');
  return prefix.slice(0, 58) + suffix;
}

/** Metadata of a new object: the server's values replace those that the client sent. */
export function newMetadata(
  sent: Partial<ObjectMeta>,
  namespace: string | undefined,
  countsGeneration: boolean,
  nowMs: number,
): ObjectMeta {
  const { generateName, name, labels, annotations, finalizers, ownerReferences } = sent;
  return {
    name: name ?? (generateName ? generatedName(generateName) : ''),
    ...(generateName ? { generateName } : {}),
    ...(namespace ? { namespace } : {}),
    uid: randomUUID(),
    resourceVersion: '',
    ...(countsGeneration ? { generation: 1 } : {}),
    creationTimestamp: kubeTime(nowMs),
    ...(labels && Object.keys(labels).length ? { labels } : {}),
    ...(annotations && Object.keys(annotations).length ? { annotations } : {}),
    ...(ownerReferences?.length ? { ownerReferences } : {}),
    ...(finalizers?.length ? { finalizers } : {}),
  };
}

/** Metadata of an update: identity and system fields stay those of `old`. */
export function updatedMetadata(sent: Partial<ObjectMeta>, old: ObjectMeta): ObjectMeta {
  const { labels, annotations, finalizers, ownerReferences } = sent;
  const kept = { ...old };
  delete kept.labels;
  delete kept.annotations;
  delete kept.finalizers;
  delete kept.ownerReferences;
  return {
    ...kept,
    ...(labels && Object.keys(labels).length ? { labels } : {}),
    ...(annotations && Object.keys(annotations).length ? { annotations } : {}),
    ...(ownerReferences?.length ? { ownerReferences } : {}),
    ...(finalizers?.length ? { finalizers } : {}),
  };
}

/** Checks that immutable metadata is unchanged. Omitted times, and creationTimestamp in any case, are taken from the old object. */
export function identityErrors(sent: Partial<ObjectMeta>, old: ObjectMeta): FieldError[] {
  return (['uid', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const).flatMap((field) => {
    const value = sent[field];
    const same = value === undefined || value === null || value === '' || value === old[field];
    return same ? [] : [invalid(`metadata.${field}`, value, 'field is immutable')];
  });
}

export function validateMetadata(object: KubeObject, type: ResourceType, old?: KubeObject): FieldError[] {
  const { name, labels, annotations, ownerReferences, finalizers } = object.metadata;
  const errors: FieldError[] = [];
  if (!old) errors.push(...validateName(name, type));
  for (const [key, value] of Object.entries(labels ?? {})) {
    errors.push(...validateKey('metadata.labels', key));
    if (typeof value !== 'string') errors.push(invalid('metadata.labels', value, 'must be a string'));
    else if (value.length > 63) errors.push(invalid('metadata.labels', value, 'must be no more than 63 characters'));
    else if (value !== '' && !qualifiedName.test(value)) errors.push(invalid('metadata.labels', value, labelValueText));
  }
  let annotationBytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.push(...validateKey('metadata.annotations', key));
    annotationBytes += key.length + value.length;
  }
  if (annotationBytes > 256 * 1024) {
    errors.push({
      reason: 'FieldValueTooLong',
      field: 'metadata.annotations',
      message: `Too long: may not be more than ${256 * 1024} bytes`,
    });
  }
  ownerReferences?.forEach((owner, index) => {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (!isObject(owner) || !owner[field])
        errors.push(required(`metadata.ownerReferences[${index}].${field}`, 'must not be empty'));
    }
  });
  ownerReferences?.forEach((owner, index) => {
    if (!isObject(owner)) return;
    const { apiVersion, kind } = owner;
    if (typeof apiVersion === 'string' && apiVersion.split('/').length > 2)
      errors.push(invalid(`metadata.ownerReferences[${index}].apiVersion`, apiVersion, 'must be GROUP/VERSION'));
    if (kind === 'Event' && (apiVersion === 'v1' || apiVersion === 'events.k8s.io/v1'))
      errors.push(invalid('metadata.ownerReferences', owner, `/${apiVersion}, Kind=Event is disallowed from being an owner`));
  });
  const controllers = (ownerReferences ?? []).filter((owner) => owner.controller);
  if (controllers.length > 1)
    errors.push(invalid('metadata.ownerReferences', null, 'Only one reference can have Controller set to true'));
  finalizers?.forEach((finalizer, index) => {
    const field = `metadata.finalizers[${index}]`;
    errors.push(...validateKey(field, finalizer));
    if (!type.custom && type.group !== 'apiextensions.k8s.io' && !isQualified(finalizer))
      errors.push(invalid(field, finalizer, 'name is neither a standard finalizer name nor is it fully qualified'));
  });
  return errors;
}

const isQualified = (finalizer: string) =>
  finalizer.includes('/') || ['kubernetes', 'orphan', 'foregroundDeletion'].includes(finalizer);

/** Accepted but discouraged content, which Warning headers report. */
export function metadataWarnings({ finalizers = [], ownerReferences = [] }: ObjectMeta, { custom }: ResourceType): string[] {
  const loose = custom ? finalizers.filter((finalizer) => !isQualified(finalizer) && !finalizer.includes('.')) : [];
  const uids = ownerReferences.map(({ uid }) => uid);
  const twice = [...new Set(uids.filter((uid, index) => uids.indexOf(uid) !== index))];
  return [
    ...loose.map(
      (name) =>
        `metadata.finalizers: ${JSON.stringify(name)}: prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers`,
    ),
    ...(twice.length > 0
      ? [`.metadata.ownerReferences contains duplicate entries; duplicate UID(s) observed: ${twice.join(', ')}`]
      : []),
  ];
}

function validateName(name: string, type: ResourceType): FieldError[] {
  if (!name) return [required('metadata.name', 'name or generateName is required')];
  if (type.nameStyle === 'label') return name.length <= 63 && label.test(name) ? [] : [invalid('metadata.name', name, labelText)];
  if (name.length > 253) return [invalid('metadata.name', name, 'must be no more than 253 characters')];
  return subdomain.test(name) ? [] : [invalid('metadata.name', name, subdomainText)];
}

function validateKey(field: string, key: string): FieldError[] {
  const [prefix, name, ...rest] = key.includes('/') ? key.split('/') : [undefined, key];
  const good =
    rest.length === 0 &&
    qualifiedName.test(name ?? '') &&
    (prefix === undefined || (prefix.length <= 253 && subdomain.test(prefix)));
  if (good) return [];
  const text =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
  return [invalid(field, key, text)];
}
