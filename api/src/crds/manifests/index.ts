/**
 * Manifests that the CRDs must take, and ones that they must refuse with the field and the reason named. Our own validators and a real
 * kube-apiserver are held to the same table.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { CrdManifest, FieldErrorReason, JsonObject } from '../../validation/index.ts';
import { crdDefinitions } from '../definitions/index.ts';

interface ManifestCase {
  name: string;
  /** metadata.name; default "example". */
  objectName?: string;
  /** Absent: the object has none. */
  spec?: JsonObject;
  /** The spec before: the case is an update. */
  old?: JsonObject;
}

export type RightManifest = ManifestCase;
export interface WrongManifest extends ManifestCase {
  field: string;
  reason: FieldErrorReason;
  /** Part of the message. */
  message?: string;
}

export interface ManifestTable {
  crd: CrdManifest;
  right: readonly RightManifest[];
  wrong: readonly WrongManifest[];
}

/** One table for each CRD. */
export function manifestTables(): ManifestTable[] {
  return crdDefinitions.map((crd) => {
    const file = new URL(`${crd.spec.names.plural}.yaml`, import.meta.url);
    return { crd, ...(parse(readFileSync(file, 'utf8')) as Pick<ManifestTable, 'right' | 'wrong'>) };
  });
}

/** The whole object of a case, with its spec now or before. */
export function manifestOf(crd: CrdManifest, given: ManifestCase, which: 'spec' | 'old' = 'spec'): JsonObject {
  const spec = given[which];
  return {
    apiVersion: `${crd.spec.group}/${crd.spec.versions[0]?.name ?? ''}`,
    kind: crd.spec.names.kind,
    metadata: { name: given.objectName ?? 'example', namespace: 'default' },
    ...(spec === undefined ? {} : { spec: structuredClone(spec) }),
  };
}
