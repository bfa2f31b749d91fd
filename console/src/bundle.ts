import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Bundles the page's TypeScript for the browser, in memory: a change takes effect at the next start, without a build step. */
export async function bundlePage(entry: URL): Promise<string> {
  const result = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    sourcemap: 'inline',
    write: false,
    logLevel: 'silent',
  });
  return result.outputFiles[0]?.text ?? '';
}
