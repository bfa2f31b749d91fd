import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { MediaEdge } from '@millrace/api';

const LAPTOP = new URL('../../examples/laptop/network.yaml', import.meta.url);

export interface LaptopOptions {
  /** Additional environment variables of every media node. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The manifest of `make up`, with other settings of its media nodes. */
export function laptopManifest({ environment }: LaptopOptions): string {
  const env = Object.entries(environment).map(([name, value]) => ({ name, value }));
  return parseAllDocuments(readFileSync(LAPTOP, 'utf8'))
    .map((document) => {
      const resource = document.toJS() as { kind: string };
      if (resource.kind !== 'MediaEdge') return resource;
      const { spec } = resource as unknown as MediaEdge;
      const template = { ...spec.template, env: [...(spec.template?.env ?? []), ...env] };
      return { ...resource, spec: { ...spec, template } };
    })
    .map((resource) => JSON.stringify(resource))
    .join('\n---\n');
}
