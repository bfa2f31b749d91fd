import type { KubeObject } from '../object.ts';
import type { Column, ResourceType } from '../resource-type.ts';

export type IncludeObject = 'Metadata' | 'Object' | 'None';

/** meta.k8s.io/v1 Table: what `kubectl get` prints. */
export function renderTable(
  type: ResourceType,
  objects: readonly KubeObject[],
  opts: { metadata: object; includeObject: IncludeObject; nowMs: number; columns?: boolean },
): object {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: opts.metadata,
    columnDefinitions: opts.columns === false ? null : type.columns.map(definitionOf),
    rows: objects.map((object) => ({
      cells: type.columns.map((column) => column.cell(object, opts.nowMs)),
      ...(opts.includeObject === 'None' ? {} : { object: opts.includeObject === 'Object' ? object : partialMetadata(object) }),
    })),
  };
}

function definitionOf({ name, type, format = '', description = '', priority = 0 }: Column): object {
  return { name, type, format, description, priority };
}

export function partialMetadata(object: KubeObject): object {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}
