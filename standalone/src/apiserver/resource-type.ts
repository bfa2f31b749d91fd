import type { CrdVersion, FieldError, JsonObject, Schema } from '@millrace/api/validation';
import type { KubeObject } from './object.ts';

export type Subresource = 'status' | 'scale' | 'binding' | 'eviction' | 'log' | 'token';

export interface Column {
  name: string;
  type: string;
  format?: string;
  description?: string;
  /** 0 is always shown, 1 and above only with `-o wide`. */
  priority?: number;
  /** The cell; `nowMs` for ages. */
  cell: (object: KubeObject, nowMs: number) => string | number | boolean | null;
}

/** The definition of one kind in one API version. */
export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  listKind: string;
  shortNames: string[];
  categories: string[];
  namespaced: boolean;
  subresources: readonly Subresource[];
  /** Supports only POST, which responds at once and stores nothing (TokenReview). */
  virtual?: boolean;
  custom: boolean;
  /** Whether collections can be deleted: all kinds except Namespace. */
  deletesCollections: boolean;
  /** The warning for clients of a deprecated version. */
  deprecation?: string;
  schema: Schema;
  columns: Column[];
  /** Field selectors beside metadata.name and metadata.namespace: name → path. */
  fieldSelectors: Record<string, readonly string[]>;
  /** Whether a change outside of metadata and status increments metadata.generation. */
  countsGeneration: boolean;
  /** Whether status can be set by create and by plain updates (Node does so on create). */
  keepsStatusOnCreate: boolean;
  scale?: NonNullable<NonNullable<CrdVersion['subresources']>['scale']>;
  nameStyle: 'subdomain' | 'label' | 'path';
  applyDefaults(object: JsonObject): void;
  /** Field errors of the object, except those of metadata. `old` is set for an update; `subresource` is the one that is written. */
  validate(object: KubeObject, old?: KubeObject, subresource?: Subresource): FieldError[];
  /** Removes unknown fields in place; returns their paths. */
  prune(object: JsonObject): string[];
  /** Final changes to a new object before it is stored, such as its initial status. */
  prepareCreate?(object: KubeObject, nowMs: number): void;
}

/** The key under which a resource is stored; versions of one resource share it. */
export function storageKey(type: { group: string; plural: string }): string {
  return `${type.group}/${type.plural}`;
}

export function apiVersionOf(type: { group: string; version: string }): string {
  return type.group ? `${type.group}/${type.version}` : type.version;
}
