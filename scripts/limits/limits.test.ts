import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';

const top = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, top), 'utf8');

/** Rows of docs/limits.md: the documented bound, and its place in the code. */
const rows = read('docs/limits.md')
  .split('\n')
  .flatMap((line) => {
    const [, what, bound, , code] = line.split('|').map((cell) => cell.trim());
    const place = /^`([^`]+)` `([^`]+)`$/.exec(code ?? '');
    return place ? [{ what: what!, bound: bound!, file: place[1]!, name: place[2]! }] : [];
  });

/** The value of a constant, of a property, or of a setting's default. */
function valueIn(source: string, name: string): number | undefined {
  const written =
    new RegExp(`const ${name}(?::[^=]+)? = ([\\d_* ]+);`).exec(source)?.[1] ??
    new RegExp(`\\b${name}: ([\\d_* ]+),`).exec(source)?.[1] ??
    new RegExp(`\\b${name}: z\\b[^]*?\\.default\\(([\\d_]+)\\)`).exec(source)?.[1];
  if (written === undefined) return undefined;
  return written
    .split('*')
    .map((factor) => Number(factor.trim().replaceAll('_', '')))
    .reduce((product, factor) => product * factor, 1);
}

/** Code that takes input from outside: each bound in it is documented. */
const LISTENERS = 'media-node/src/{sdp,signaling,sessions,access,channel}/**,control/src/{http,gateway}/**,api/src/**';
/** Values of a standard or of arithmetic, at which nothing is refused. */
const NO_BOUNDS = new Set(['MAX_COMMON_LEVEL', 'MAX_RTCP_LIKE', 'MAX_RTP_BYTES']);

describe('docs/limits.md', () => {
  test('names every bound of what listens', () => {
    const files = globSync(`{${LISTENERS}}/*.ts`, { cwd: fileURLToPath(top) }).filter(
      (file) => !/\.test\.ts$|testing\//.test(file),
    );
    assert.ok(files.length > 50);
    const bounds = files.flatMap((file) =>
      [...read(file).matchAll(/const (MAX_\w+)(?:: \w+)? = /g)].map(([, name]) => ({ file, name: name! })),
    );
    const missing = bounds.filter(
      ({ file, name }) => !NO_BOUNDS.has(name) && !rows.some((row) => row.file === file && row.name === name),
    );
    assert.deepEqual(missing, []);
  });
  test('has its tables', () => assert.ok(rows.length > 45, `${rows.length} rows`));
  for (const { what, bound, file, name } of rows) {
    test(`${name} in ${file} is as documented: ${what}`, () => {
      const value = valueIn(read(file), name);
      assert.ok(value !== undefined, `${name} is not found in ${file}`);
      assert.equal(Number(/^[\d,]+/.exec(bound)?.[0].replaceAll(',', '')), value);
    });
  }
});
