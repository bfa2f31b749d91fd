import type { CrdManifest, CrdVersion } from '@millrace/api/validation';
import { compileCrd } from '@millrace/api/validation';
import { asJson } from '../object.ts';
import { ageColumn, humanAge, nameColumn } from '../builtin/columns.ts';
import type { Column, ResourceType, Subresource } from '../resource-type.ts';
import { compileJsonPath } from '../table/jsonpath.ts';
import { metadataSchema } from '../builtin/schemas.ts';

/** The resource types that a CRD defines, one for each served version. Throws an Error naming what does not compile. */
export function customTypes(crd: CrdManifest): ResourceType[] {
  return crd.spec.versions.filter((version) => version.served).map((version) => customType(crd, version));
}

function customType(crd: CrdManifest, version: CrdVersion): ResourceType {
  const { names, group, scope } = crd.spec;
  const compiled = compileCrd(crd, version.name);
  const subresources: Subresource[] = [];
  if (version.subresources?.status) subresources.push('status');
  if (version.subresources?.scale) subresources.push('scale');
  const selectable = (version.selectableFields ?? []).map(
    ({ jsonPath }) => [jsonPath.replace(/^\./, ''), jsonPath.replace(/^\./, '').split('.')] as const,
  );
  return {
    group,
    version: version.name,
    plural: names.plural,
    kind: names.kind,
    singular: names.singular ?? names.kind.toLowerCase(),
    listKind: names.listKind ?? `${names.kind}List`,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    namespaced: scope === 'Namespaced',
    subresources,
    custom: true,
    deletesCollections: true,
    ...(version.deprecated
      ? { deprecation: version.deprecationWarning ?? `${group}/${version.name} ${names.kind} is deprecated` }
      : {}),
    schema: { ...compiled.schema, properties: { ...compiled.schema.properties, metadata: metadataSchema } },
    columns: customColumns(version),
    fieldSelectors: Object.fromEntries(selectable),
    countsGeneration: true,
    keepsStatusOnCreate: !subresources.includes('status'),
    scale: version.subresources?.scale,
    nameStyle: 'subdomain',
    applyDefaults: (object) => compiled.applyDefaults(object),
    prune: (object) => compiled.prune(object),
    validate: (object, old) => compiled.validate(asJson(object), old && asJson(old)),
  };
}

function customColumns(version: CrdVersion): Column[] {
  const declared = version.additionalPrinterColumns;
  if (!declared?.length) return [nameColumn, ageColumn];
  return [
    nameColumn,
    ...declared.map(({ name, type, format, description, priority, jsonPath }): Column => {
      const read = compileJsonPath(jsonPath);
      return {
        name,
        type,
        format,
        description,
        priority: priority ?? 0,
        cell: (object, now) => cellOf(read(object)[0], type, now),
      };
    }),
  ];
}

function cellOf(value: unknown, type: string, nowMs: number): ReturnType<Column['cell']> {
  if (value === undefined || value === null) return null;
  if (type === 'date') return typeof value === 'string' ? humanAge(nowMs - Date.parse(value)) : '<unknown>';
  if (type === 'integer' || type === 'number') return typeof value === 'number' ? value : null;
  if (type === 'boolean') return typeof value === 'boolean' ? value : null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
