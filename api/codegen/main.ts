/**
 * Generates types, CRD definitions and their reference pages from crds/*.yaml; from api/src/operations the OpenAPI documents, the page
 * on the HTTP APIs and the access table.
 * `--check` writes nothing and fails when a generated file is stale, missing or left over.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { readCrdFiles } from './crd-files.ts';
import type { CrdFile } from './crd-files.ts';
import { conditionModule, definitionsModule, indexModule, kindModule, moduleName, RESOURCE_MODULE } from './type-script.ts';
import { referenceIndex, referencePage } from './reference.ts';
import { consoleService, controlService, mediaNodeService, opsService } from '../src/operations/index.ts';
import { withAccessTable } from './access-table.ts';
import { httpReference, openApiYaml } from './http-reference.ts';
import { kubernetesRights } from './kubernetes-access.ts';

const ROOT = join(import.meta.dirname, '../..');
const TYPES = join(ROOT, 'api/src/crds');
const DEFINITIONS = join(TYPES, 'definitions');
const REFERENCE = join(ROOT, 'docs/reference/crds');
const OPEN_API = join(ROOT, 'docs/reference/openapi');
const HTTP_PAGE = join(ROOT, 'docs/reference/http-api.md');
const SECURITY_PAGE = join(ROOT, 'docs/security.md');
const SERVICES = [controlService, mediaNodeService, consoleService, opsService];
/** Everything in these folders with these endings is generated, so what is not wanted any more is removed. */
const OWNED = [
  { folder: TYPES, ending: /^(?!.*[.]test[.]ts$).*[.]ts$/ },
  { folder: DEFINITIONS, ending: /[.](ts|json)$/ },
  { folder: REFERENCE, ending: /[.]md$/ },
  { folder: OPEN_API, ending: /[.]yaml$/ },
];

/** Path of each generated file and its text. */
export async function generate(): Promise<Map<string, string>> {
  const crds = readCrdFiles(join(ROOT, 'crds'));
  const files = new Map<string, string>([
    [join(TYPES, 'index.ts'), indexModule(crds)],
    [join(TYPES, 'resource.ts'), RESOURCE_MODULE],
    [join(TYPES, 'condition.ts'), conditionModule(crds)],
    [join(DEFINITIONS, 'index.ts'), definitionsModule(crds)],
    [join(REFERENCE, 'README.md'), referenceIndex(crds)],
    ...crds.flatMap((crd) => filesOf(crd)),
    ...SERVICES.map((service): [string, string] => [join(OPEN_API, `${service.name}.yaml`), openApiYaml(service)]),
    [HTTP_PAGE, httpReference(SERVICES)],
    [SECURITY_PAGE, withAccessTable(read(SECURITY_PAGE) ?? '', SERVICES, kubernetesRights(join(ROOT, 'deploy/rbac')))],
  ]);
  for (const [path, text] of files) files.set(path, await format(text, { ...(await resolveConfig(path)), filepath: path }));
  return files;
}

function filesOf(crd: CrdFile): [string, string][] {
  return [
    [join(TYPES, `${moduleName(crd)}.ts`), kindModule(crd)],
    [join(DEFINITIONS, `${crd.name}.json`), JSON.stringify(crd.manifest, null, 2)],
    [join(REFERENCE, `${crd.name}.md`), referencePage(crd)],
  ];
}

/** Paths, relative to the checkout, of generated files that are not as their sources say. */
export async function staleFiles(): Promise<string[]> {
  const wanted = await generate();
  const stale = [...wanted].filter(([path, text]) => read(path) !== text).map(([path]) => path);
  return [...stale, ...leftOver(wanted)].map((path) => relative(ROOT, path)).sort();
}

function leftOver(wanted: ReadonlyMap<string, string>): string[] {
  return OWNED.flatMap(({ folder, ending }) =>
    list(folder)
      .filter((name) => ending.test(name))
      .map((name) => join(folder, name))
      .filter((path) => !wanted.has(path)),
  );
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  if (process.argv.includes('--check')) {
    const stale = await staleFiles();
    if (stale.length === 0) return;
    console.error(`Stale, run \`npm run generate\`:\n${stale.map((path) => `  ${path}`).join('\n')}`);
    process.exitCode = 1;
    return;
  }
  const wanted = await generate();
  for (const path of leftOver(wanted)) rmSync(path);
  for (const [path, text] of wanted) {
    mkdirSync(dirname(path), { recursive: true });
    if (read(path) !== text) writeFileSync(path, text);
  }
}

if (import.meta.main) await main();
