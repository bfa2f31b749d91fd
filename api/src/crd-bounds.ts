import type { CrdManifest, Schema } from './validation/index.ts';

/**
 * The `maxItems` of a list in a CRD's storage version, by its path such as `spec.routes[].paths`. Whoever writes such a list takes its
 * bound from here, so that what is written is never refused for its length.
 * @throws Error when the path names no list, or one without a bound.
 */
export function maxItemsOf(crd: CrdManifest, path: string): number {
  const version = crd.spec.versions.find(({ storage }) => storage);
  let schema: Schema | undefined = version?.schema?.openAPIV3Schema;
  for (const segment of path.split('.')) {
    const name = segment.replace(/\[\]$/, '');
    schema = schema?.properties?.[name];
    if (segment.endsWith('[]')) schema = schema?.items;
  }
  if (schema?.maxItems === undefined) throw new Error(`${crd.spec.names.kind} ${path} is not a list with maxItems`);
  return schema.maxItems;
}
