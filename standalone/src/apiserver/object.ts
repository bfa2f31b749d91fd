import type { Json, JsonObject } from '@millrace/api/validation';
import { badRequest } from './status.ts';

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}
export interface ManagedFieldsEntry {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  time?: string;
  fieldsType: 'FieldsV1';
  fieldsV1: JsonObject;
  subresource?: string;
}
export interface ObjectMeta {
  name: string;
  generateName?: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: ManagedFieldsEntry[];
}
/** Any Kubernetes object. Objects from the store are never modified in place. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: JsonObject;
  status?: JsonObject;
  [key: string]: unknown;
}

/** The same object as plain JSON, for code that works by schema. */
export function asJson(object: KubeObject): JsonObject {
  return object as unknown as JsonObject;
}

export function fromJson(object: JsonObject): KubeObject {
  return object as unknown as KubeObject;
}

/** Reads `a.b.c`; undefined when any step is missing. */
export function valueAt(object: unknown, path: readonly string[]): Json | undefined {
  let current = object;
  for (const step of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string, unknown>)[step];
  }
  return current as Json | undefined;
}

/** metav1.Time: whole seconds, UTC. */
export function kubeTime(wallMs: number): string {
  return new Date(Math.floor(wallMs / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

/** Maximum nesting depth: no served kind comes near it, and code that works by schema walks documents recursively. */
const maxDepth = 200;

/** Throws 400 for a document nested so deep that walking it would overflow the stack. */
export function checkDepth(document: unknown): void {
  let level: unknown[] = [document];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) throw badRequest(`the object is nested deeper than ${maxDepth} levels`);
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? (Object.values(value) as unknown[]) : []));
  }
}
