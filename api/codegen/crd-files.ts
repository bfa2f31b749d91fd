import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { parseCrd } from '../src/validation/index.ts';
import type { CrdManifest, CrdVersion, Schema } from '../src/validation/index.ts';

/** One CRD file and what the generators need of it. */
export interface CrdFile {
  /** Name of the file without its ending, such as mediaedges. */
  readonly name: string;
  readonly manifest: CrdManifest;
  readonly version: CrdVersion;
  readonly kind: string;
  readonly plural: string;
  readonly root: Schema;
}

/** Reads every CRD of a folder, in order of name. Throws an Error that names the file when one is not a CRD. */
export function readCrdFiles(folder: string): CrdFile[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
  return files.sort().map((file) => {
    try {
      return crdFile(file.slice(0, -'.yaml'.length), parseCrd(parse(readFileSync(join(folder, file), 'utf8'))));
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
    }
  });
}

function crdFile(name: string, manifest: CrdManifest): CrdFile {
  const version = manifest.spec.versions.find((candidate) => candidate.storage);
  const root = version?.schema?.openAPIV3Schema;
  if (!version || !root) throw new Error('no storage version with a schema');
  return { name, manifest, version, kind: manifest.spec.names.kind, plural: manifest.spec.names.plural, root };
}
