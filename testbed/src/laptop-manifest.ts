import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { MediaEdge } from '@millrace/api';

const LAPTOP = new URL('../../examples/laptop/network.yaml', import.meta.url);

/** The manifest of `make up`, every media node of which gets further environment variables. */
export function laptopManifest(environment: Readonly<Record<string, string>>): string {
  const env = Object.entries(environment).map(([name, value]) => ({ name, value }));
  return parseAllDocuments(readFileSync(LAPTOP, 'utf8'))
    .map((document) => {
      const resource = document.toJS() as { kind: string };
      if (resource.kind !== 'MediaEdge') return resource;
      const { spec } = resource as unknown as MediaEdge;
      return { ...resource, spec: { ...spec, template: { ...spec.template, env: [...(spec.template?.env ?? []), ...env] } } };
    })
    .map((resource) => JSON.stringify(resource))
    .join('\n---\n');
}
