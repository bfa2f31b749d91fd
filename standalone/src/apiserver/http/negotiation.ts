import { notAcceptable } from '../status.ts';

/** The response format that a client requests. */
export interface Wanted {
  form: 'Table' | 'PartialObjectMetadata' | 'Object';
  encoding: 'application/json' | 'application/yaml';
}
const encodings: Record<string, Wanted['encoding']> = {
  'application/json': 'application/json',
  'application/*': 'application/json',
  '*/*': 'application/json',
  'application/yaml': 'application/yaml',
};

/** Sorted by preference (RFC 9110 section 12.4.2); equal ones keep their order. */
function byQuality(choices: string[]): string[] {
  const quality = (choice: string) => Number(/;\s*q=([\d.]+)/.exec(choice)?.[1] ?? 1);
  return choices.toSorted((a, b) => quality(b) - quality(a));
}

/** The first of the client's choices that the server supports ("API concepts": alternate representations). Throws 406 when there is none. */
export function negotiate(accept: string | undefined): Wanted {
  const choices = byQuality((accept ?? '').split(',').filter((choice) => choice.trim() !== ''));
  if (choices.length === 0) return { form: 'Object', encoding: 'application/json' };
  for (const choice of choices) {
    const [media = '', ...rest] = choice.split(';').map((part) => part.trim());
    const encoding = encodings[media];
    if (!encoding) continue;
    const parameters = new Map(rest.map((part) => part.split('=') as [string, string]));
    const as = parameters.get('as');
    if (as === undefined) return { form: 'Object', encoding };
    if (parameters.get('v') !== 'v1' || parameters.get('g') !== 'meta.k8s.io') continue;
    if (as === 'Table') return { form: 'Table', encoding };
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return { form: 'PartialObjectMetadata', encoding };
  }
  throw notAcceptable(['application/json', 'application/yaml']);
}
