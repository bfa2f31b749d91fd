import type { Schema } from '../src/validation/index.ts';
import type { CrdFile } from './crd-files.ts';

const NOTE = '<!-- Generated from crds/*.yaml by `npm run generate`. Change it there. -->\n';

/** Reference page of one kind. */
export function referencePage(crd: CrdFile): string {
  const { kind, manifest, version, root } = crd;
  const { shortNames = [], categories = [] } = manifest.spec.names;
  const names = [crd.plural, ...shortNames].map((name) => `\`kubectl get ${name}\``).join(' or ');
  return [
    NOTE,
    `# ${kind}\n`,
    `${root.description ?? ''}\n`,
    `\`apiVersion: ${manifest.spec.group}/${version.name}\`, \`kind: ${kind}\`, namespaced. List with ${names}; all kinds of ` +
      `${categories.join(', ')} with \`kubectl get ${categories.join(',')}\`.` +
      `${version.subresources?.scale ? ` \`kubectl scale ${crd.plural}\` works.` : ''}\n`,
    ...fieldSection('spec', root.properties?.['spec']),
    ...ruleSection(root),
    ...fieldSection('status', root.properties?.['status']),
    ...columnSection(crd),
  ].join('\n');
}

export function referenceIndex(crds: readonly CrdFile[]): string {
  const rows = crds.map((crd) => `| [${crd.kind}](${crd.name}.md) | ${cell(crd.root.description ?? '')} |`);
  return `${NOTE}\n# Custom resources\n\n| Kind | What it is |\n| --- | --- |\n${rows.join('\n')}\n`;
}

function fieldSection(name: string, schema: Schema | undefined): string[] {
  if (!schema) return [];
  const rows = fields(schema, name).map(
    ({ path, type, absent, meaning }) => `| \`${path}\` | ${type} | ${absent} | ${meaning} |`,
  );
  const header = `| Field | Type | If absent | Meaning |\n| --- | --- | --- | --- |`;
  return [`## ${name}\n`, `${schema.description ?? ''}\n`, `${header}\n${rows.join('\n')}\n`];
}

interface Field {
  path: string;
  type: string;
  absent: string;
  meaning: string;
}

/** Rows for all fields below \`schema\`, parents before children. Conditions are one row, since Kubernetes documents them. */
function fields(schema: Schema, path: string): Field[] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const own = `${path}.${key}`;
    const row: Field = {
      path: own,
      type: cell(typeName(child)),
      absent: required.has(key) ? 'refused' : cell(defaultName(child)),
      meaning: cell(child.description ?? ''),
    };
    if (key === 'conditions') return [row];
    if (child.items?.properties) return [row, ...fields(child.items, `${own}[]`)];
    return [row, ...fields(child, own)];
  });
}

function typeName(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${String(value as string)}\``).join(', ');
  switch (schema.type) {
    case 'array': {
      const item = schema.items ?? {};
      const bounds = range(schema.minItems, schema.maxItems);
      const kind = {
        set: 'set',
        map: `list with unique ${(schema['x-kubernetes-list-map-keys'] ?? []).join(', ')}`,
        atomic: 'list',
      };
      return `${kind[schema['x-kubernetes-list-type'] ?? 'atomic']} of ${bounds ? `${bounds} ` : ''}${item.properties ? 'objects' : typeName(item)}`;
    }
    case 'object':
      return typeof schema.additionalProperties === 'object'
        ? `map of ${range(schema.minProperties, schema.maxProperties)} ${typeName(schema.additionalProperties)}`
        : 'object';
    case 'string':
      if (schema.format) return `string (${schema.format})`;
      return ['string', range(schema.minLength, schema.maxLength, ' characters'), schema.pattern ? `\`${schema.pattern}\`` : '']
        .filter(Boolean)
        .join(', ');
    default:
      return [schema.type ?? 'any', range(schema.minimum, schema.maximum)].filter(Boolean).join(' ');
  }
}

function range(low: number | undefined, high: number | undefined, unit = ''): string {
  if (low !== undefined && high !== undefined) return `${low} to ${high}${unit}`;
  if (high !== undefined) return `up to ${high}${unit}`;
  return low !== undefined ? `from ${low}${unit}` : '';
}

function defaultName(schema: Schema): string {
  if (schema.default === undefined) return '';
  return typeof schema.default === 'object' ? 'its defaults' : `\`${String(schema.default)}\``;
}

/** What CEL rules refuse, with where they look. */
function ruleSection(root: Schema): string[] {
  const rows = rules(root, '').map(({ path, message }) => `- \`${path}\`: ${message}`);
  return rows.length > 0 ? ['## Refused although each field is in range\n', `${rows.join('\n')}\n`] : [];
}

function rules(schema: Schema, path: string): { path: string; message: string }[] {
  const own = (schema['x-kubernetes-validations'] ?? []).map((rule) => ({
    path: `${path}${rule.fieldPath ?? ''}` || 'metadata',
    message: rule.message ?? rule.rule,
  }));
  const children = Object.entries(schema.properties ?? {}).flatMap(([key, child]) => rules(child, path ? `${path}.${key}` : key));
  return [...own, ...children, ...(schema.items ? rules(schema.items, `${path}[]`) : [])];
}

function columnSection(crd: CrdFile): string[] {
  const columns = crd.version.additionalPrinterColumns ?? [];
  const rows = columns.map(
    (column) =>
      `| ${column.name} | ${cell(column.description ?? 'Time since it was made')} | ${column.priority ? '`-o wide`' : 'always'} |`,
  );
  return [`## Columns of kubectl get\n`, `| Column | Meaning | Shown |\n| --- | --- | --- |\n${rows.join('\n')}\n`];
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('<', '\\<');
