import type { CrdVersion, FieldError, JsonObject, Schema } from '@millrace/api/validation';
import type { KubeObject } from './object.ts';

export type Subresource = 'status' | 'scale' | 'binding' | 'eviction' | 'log' | 'token';

export interface Column {
  name: string;
  type: string;
  format?: string;
  description?: string;
  /** 0 is shown always, 1 and above only with `-o wide`. */
  priority?: number;
  /** The cell; `nowMs` for ages. */
  cell: (object: KubeObject, nowMs: number) => string | number | boolean | null;
}

/** Everything the server knows of one kind in one API version. */
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
  /** Only POST, answers at once, stores nothing (TokenReview). */
  virtual?: boolean;
  custom: boolean;
  /** Whether many can be deleted at once: all kinds but Namespace. */
  deletesCollections: boolean;
  /** The warning for clients of a deprecated version. */
  deprecation?: string;
  schema: Schema;
  columns: Column[];
  /** Field selectors beside metadata.name and metadata.namespace: name → path. */
  fieldSelectors: Record<string, readonly string[]>;
  /** Whether a change of anything but metadata and status counts up metadata.generation. */
  countsGeneration: boolean;
  /** Whether status can be set by create and by plain updates (Node does so on create). */
  keepsStatusOnCreate: boolean;
  scale?: NonNullable<NonNullable<CrdVersion['subresources']>['scale']>;
  nameStyle: 'subdomain' | 'label' | 'path';
  applyDefaults(object: JsonObject): void;
  /** Field errors of the object, metadata excepted. `old` makes it an update; `subresource` says the subresource that is written. */
  validate(object: KubeObject, old?: KubeObject, subresource?: Subresource): FieldError[];
  /** Removes unknown fields in place; returns their paths. */
  prune(object: JsonObject): string[];
  /** Last changes before a new object is stored, such as the status it starts with. */
  prepareCreate?(object: KubeObject, nowMs: number): void;
}

/** The key under which a resource is stored; versions of one resource share it. */
export function storageKey(type: { group: string; plural: string }): string {
  return `${type.group}/${type.plural}`;
}

export function apiVersionOf(type: { group: string; version: string }): string {
  return type.group ? `${type.group}/${type.version}` : type.version;
}
