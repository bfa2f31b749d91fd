import type { FieldError, JsonObject } from '@millrace/api/validation';
import { forbidden, isObject, jsonEqual } from '@millrace/api/validation';
import { entriesWithoutTimes, trackUpdate } from '../apply/managed-fields.ts';
import type { KubeObject, ObjectMeta } from '../object.ts';
import { asJson, kubeTime } from '../object.ts';
import type { Registry } from '../registry.ts';
import type { ResourceType, Subresource } from '../resource-type.ts';
import { apiVersionOf, storageKey } from '../resource-type.ts';
import { alreadyExists, badRequest, conflict, forbiddenRequest, invalidObject, notFound, staleObject } from '../status.ts';
import type { Store } from '../storage/store.ts';
import { decodeObject } from './decode.ts';
import type { FieldValidation } from './decode.ts';
import { identityErrors, metadataWarnings, newMetadata, updatedMetadata, validateMetadata } from './metadata.ts';

/** The target of a request. */
export interface Target {
  type: ResourceType;
  namespace: string;
  name: string;
  subresource?: Subresource;
}
export interface WriteOptions {
  fieldManager: string;
  dryRun: boolean;
  fieldValidation: FieldValidation;
  /** Paths of duplicate fields in the body. */
  duplicates?: readonly string[];
}
export interface Written {
  object: KubeObject;
  created: boolean;
  warnings: string[];
}
export interface WriterContext {
  store: Store;
  registry: Registry;
  wall: () => number;
}

/** Checks that need more than the object itself (for CRDs: whether they compile). */
export type Admission = (type: ResourceType, object: KubeObject, old?: KubeObject) => FieldError[];

/** Creates and updates objects: decode, prune, default, validate, track field managers, store. */
export class Writer {
  readonly context: WriterContext;
  readonly #admit: Admission;

  constructor(context: WriterContext, admit: Admission) {
    this.context = context;
    this.#admit = admit;
  }

  latest({ type, namespace, name }: Target): KubeObject | undefined {
    return this.context.store.latest(storageKey(type), namespace, name);
  }

  async create(target: Target, body: unknown, options: WriteOptions): Promise<Written> {
    const { type } = target;
    const { object: sent, warnings } = decodeObject(type, body, options);
    if (sent.metadata.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
    return {
      object: await this.store(target, this.prepareNew(target, sent, options), undefined, options),
      created: true,
      warnings: [...warnings, ...metadataWarnings(sent.metadata, type)],
    };
  }

  /** Prepares a new object for the store: metadata, initial status, defaults, managers, validation. */
  prepareNew(target: Target, sent: KubeObject, options: WriteOptions, managed?: ObjectMeta['managedFields']): KubeObject {
    const { type, namespace } = target;
    const nowMs = this.context.wall();
    this.#checkNamespace(target, sent);
    const metadata = newMetadata(sent.metadata, type.namespaced ? namespace : undefined, type.countsGeneration, nowMs);
    const object: KubeObject = { ...sent, apiVersion: apiVersionOf(type), kind: type.kind, metadata };
    if (!type.keepsStatusOnCreate) delete object.status;
    type.applyDefaults(asJson(object));
    type.prepareCreate?.(object, nowMs);
    this.#validate(type, object);
    const named = { ...target, name: metadata.name };
    if (this.latest(named)) throw alreadyExists(type, metadata.name);
    const entries = managed ?? trackUpdate(type, undefined, object, { manager: options.fieldManager, time: kubeTime(nowMs) });
    return { ...object, metadata: { ...metadata, ...(entries.length ? { managedFields: entries } : {}) } };
  }

  /** Replaces a whole object; a uid in the new one is a precondition. */
  async update(target: Target, body: unknown, options: WriteOptions): Promise<Written> {
    const { uid } = (isObject(body) && isObject(body['metadata']) ? body['metadata'] : {}) as Partial<ObjectMeta>;
    const current = this.latest(target)?.metadata.uid;
    if (uid && current && uid !== current)
      throw conflict(
        target.type,
        target.name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current}`,
      );
    return this.change(target, body, options);
  }

  /** Stores the result of an update or patch. */
  async change(target: Target, body: unknown, options: WriteOptions): Promise<Written> {
    const { object: sent, warnings } = decodeObject(target.type, body, options);
    checkPlace(target, sent);
    needName(target, sent);
    const old = this.latest(target);
    if (!old) throw notFound(target.type, target.name);
    this.#checkVersion(target, sent, old);
    return { object: await this.replace(target, sent, old, options), created: false, warnings };
  }

  #checkVersion({ type, name }: Target, sent: KubeObject, old: KubeObject): void {
    const { resourceVersion } = sent.metadata;
    if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw staleObject(type, name);
    const needsVersion = type.custom || type.kind === 'Lease' || type.kind === 'CustomResourceDefinition';
    if (!resourceVersion && needsVersion) {
      throw invalidObject(type, name, [
        {
          reason: 'FieldValueInvalid',
          field: 'metadata.resourceVersion',
          message: 'Invalid value: 0: must be specified for an update',
        },
      ]);
    }
  }

  /** Stores `next` in place of `old` through the target (main resource or status), if anything changes. */
  async replace(
    target: Target,
    next: KubeObject,
    old: KubeObject,
    options: WriteOptions,
    managed?: ObjectMeta['managedFields'],
  ): Promise<KubeObject> {
    const { type, subresource } = target;
    const misplaced = identityErrors(next.metadata, old.metadata);
    if (misplaced.length > 0) throw invalidObject(type, target.name, misplaced);
    const object = this.#merge(target, next, old);
    type.applyDefaults(asJson(object));
    const specChanged = !jsonEqual(contentOf(object), contentOf(old));
    if (specChanged && type.countsGeneration) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    this.#validate(type, object, old, subresource);
    const entries =
      managed ??
      trackUpdate(
        type,
        old,
        object,
        { manager: options.fieldManager, time: kubeTime(this.context.wall()), subresource },
        next.metadata.managedFields,
      );
    if (entries.length) object.metadata.managedFields = entries;
    else delete object.metadata.managedFields;
    if (jsonEqual(withoutTimes(object), withoutTimes(old))) return old;
    return this.store(target, object, old, options);
  }

  #merge({ type, subresource }: Target, next: KubeObject, old: KubeObject): KubeObject {
    const identity = { apiVersion: apiVersionOf(type), kind: type.kind };
    if (subresource === 'status') {
      const { status: _gone, ...rest } = old;
      return structuredClone({ ...rest, ...identity, ...(next.status ? { status: next.status } : {}) });
    }
    const metadata = updatedMetadata(next.metadata, old.metadata);
    const hasStatus = type.subresources.includes('status');
    const status = hasStatus ? old.status : next.status;
    const object = structuredClone({ ...next, ...identity, metadata, ...(status === undefined ? {} : { status }) });
    if (status === undefined) delete object.status;
    return object;
  }

  /** Stores the object; removes it instead when it is marked as deleted and nothing holds it any longer. */
  async store(
    target: Target,
    object: KubeObject,
    old: KubeObject | undefined,
    options: { dryRun: boolean },
  ): Promise<KubeObject> {
    if (options.dryRun) {
      const { resourceVersion: _none, ...metadata } = object.metadata;
      return old ? object : { ...object, metadata: metadata as ObjectMeta };
    }
    const { store } = this.context;
    if (old && isReleased(object)) {
      await store.put(storageKey(target.type), object);
      return store.remove(storageKey(target.type), object);
    }
    return store.put(storageKey(target.type), object);
  }

  #validate(type: ResourceType, object: KubeObject, old?: KubeObject, subresource?: Subresource): void {
    const errors = [
      ...validateMetadata(object, type, old),
      ...finalizerErrors(object, old),
      ...type.validate(object, old, subresource),
    ];
    if (errors.length === 0) errors.push(...this.#admit(type, object, old));
    if (errors.length > 0) throw invalidObject(type, object.metadata.name || (object.metadata.generateName ?? ''), errors);
  }

  #checkNamespace({ type, namespace }: Target, sent: KubeObject): void {
    const named = sent.metadata.namespace;
    if (!type.namespaced) {
      if (named) throw invalidObject(type, sent.metadata.name, [forbidden('metadata.namespace', 'not allowed on this type')]);
      return;
    }
    checkPlace({ type, namespace, name: '' }, sent);
    const namespaceType = { group: '', plural: 'namespaces', kind: 'Namespace' };
    const owner = this.context.store.latest('/namespaces', '', namespace);
    if (!owner) throw notFound(namespaceType, namespace);
    if (owner.metadata.deletionTimestamp) {
      const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
      throw forbiddenRequest(type, sent.metadata.name, why, [
        { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' },
      ]);
    }
  }
}

/** Throws 400 when the object's name or namespace is not that of the path. */
export function checkPlace({ name, namespace }: Target, { metadata }: KubeObject): void {
  if (name && metadata.name && metadata.name !== name)
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  if (metadata.namespace && metadata.namespace !== namespace)
    throw badRequest(
      `the namespace of the provided object does not match the namespace sent on the request (${metadata.namespace} != ${namespace})`,
    );
}

/** Throws 400 when a replacement of a whole object lacks a name. */
export function needName({ name }: Target, { metadata }: KubeObject): void {
  if (!metadata.name) throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
}

function contentOf(object: KubeObject): JsonObject {
  const content: JsonObject = { ...asJson(object) };
  for (const key of ['metadata', 'status', 'apiVersion']) delete content[key];
  return content;
}

function withoutTimes(object: KubeObject): JsonObject {
  const metadata = { ...object.metadata, resourceVersion: '', managedFields: entriesWithoutTimes(object.metadata.managedFields) };
  return asJson({ ...object, metadata });
}

/** Whether it is marked as deleted and no finalizer, grace period or namespace content holds it. */
export function isReleased(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  const heldBySpec =
    object.kind === 'Namespace' && Array.isArray(object.spec?.['finalizers']) && object.spec['finalizers'].length > 0;
  return deletionTimestamp !== undefined && !deletionGracePeriodSeconds && !finalizers?.length && !heldBySpec;
}

function finalizerErrors(object: KubeObject, old?: KubeObject): FieldError[] {
  if (!old?.metadata.deletionTimestamp) return [];
  const before = new Set(old.metadata.finalizers ?? []);
  const added = (object.metadata.finalizers ?? []).filter((finalizer) => !before.has(finalizer));
  return added.length > 0
    ? [
        forbidden(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
        ),
      ]
    : [];
}
