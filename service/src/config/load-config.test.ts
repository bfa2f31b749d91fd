import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { ConfigError, HelpRequested, loadConfig } from './index.ts';

const schema = z.object({
  region: z.string().min(1).describe('routing domain of this node'),
  mediaPort: z.number().int().min(1).max(65535).default(40000),
  roles: z.array(z.enum(['push', 'pull', 'relay'])).default(['push', 'pull']),
  pinning: z.boolean().default(true),
  cpu: z.union([z.literal('auto'), z.number()]).default('auto'),
  token: z.string().optional().meta({ description: 'bearer token', secret: true }),
  kcp: z.object({ intervalMs: z.number().min(1).default(10) }).prefault({}),
});

const folder = mkdtempSync(join(tmpdir(), 'millrace-config-'));
after(() => rmSync(folder, { recursive: true }));

function yamlFile(text: string): string {
  const path = join(folder, 'config.yaml');
  writeFileSync(path, text);
  return path;
}

function errorsOf(argv: string[], env: NodeJS.ProcessEnv = {}, file?: string): readonly string[] {
  try {
    loadConfig(schema, { argv, env, ...(file ? { file } : {}) });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.errors;
  }
  assert.fail('the configuration was accepted');
}

describe('loadConfig', () => {
  test('a flag overrides the environment, which overrides the file, which overrides the default', () => {
    const file = yamlFile('region: from-file\nmediaPort: 1\nkcp: { intervalMs: 5 }\n');
    const config = loadConfig(schema, {
      argv: ['--region=flag'],
      env: { MILLRACE_REGION: 'env', MILLRACE_MEDIA_PORT: '2' },
      file,
    });
    assert.deepEqual([config.region, config.mediaPort, config.kcp.intervalMs, config.cpu], ['flag', 2, 5, 'auto']);
  });

  test('text becomes the type that the schema names', () => {
    const argv = ['--region', '7', '--roles', 'relay, pull', '--no-pinning', '--cpu', '2', '--kcp-interval-ms', '20'];
    const config = loadConfig(schema, { argv });
    assert.deepEqual(
      { ...config, token: undefined },
      {
        region: '7',
        mediaPort: 40000,
        roles: ['relay', 'pull'],
        pinning: false,
        cpu: 2,
        token: undefined,
        kcp: { intervalMs: 20 },
      },
    );
  });

  test('every error is listed at once, each with where the value came from', () => {
    const errors = errorsOf(['--media-port', '70000', '--rolse', 'x'], { MILLRACE_KCP_INTERVAL_MS: 'soon' });
    assert.equal(errors.length, 4, errors.join('\n'));
    assert.match(errors.join('\n'), /--rolse: unknown argument/);
    assert.match(errors.join('\n'), /region: required; give --region or set MILLRACE_REGION/);
    assert.match(errors.join('\n'), /--media-port: .*65535/);
    assert.match(errors.join('\n'), /MILLRACE_KCP_INTERVAL_MS: .*number/);
  });

  test('a misspelt flag gets a suggestion', () => {
    assert.match(errorsOf(['--region', 'a', '--mediaport', '1']).join(), /did you mean --media-port\?/);
  });

  test('a misspelt name in the file is refused, in groups too', () => {
    const errors = errorsOf(['--region', 'a'], {}, yamlFile('kcp: { interval: 5 }\nmediaport: 4\n'));
    assert.match(errors.join('\n'), /kcp\.interval in .*: unknown setting\n.*mediaport in .*: unknown setting/s);
  });

  test('a file that is missing or not a mapping is an error with its path', () => {
    assert.match(errorsOf(['--region', 'a', '--config', '/nowhere.yaml']).join(), /\/nowhere\.yaml: ENOENT/);
    assert.match(errorsOf(['--region', 'a'], {}, yamlFile('- 1\n')).join(), /must be a mapping/);
  });

  test('a secret is taken from the environment and refused as an argument, and its value is not repeated', () => {
    assert.equal(loadConfig(schema, { argv: ['--region', 'a'], env: { MILLRACE_TOKEN: 's3cret' } }).token, 's3cret');
    const errors = errorsOf(['--region', 'a', '--token=s3cret']).join('\n');
    assert.match(errors, /--token: a secret must not be an argument.*MILLRACE_TOKEN/);
    assert.doesNotMatch(errors, /s3cret/);
  });

  test('--help shows each setting with flag, variable, description and default', () => {
    assert.throws(
      () => loadConfig(schema, { argv: ['--help'] }),
      (error: unknown) =>
        error instanceof HelpRequested && /--media-port, MILLRACE_MEDIA_PORT\n\s+default 40000/.test(error.message),
    );
  });

  test('whatever the arguments are, the answer is a configuration or a ConfigError', () => {
    const argument = fc.oneof(
      fc.string(),
      fc.constantFrom('--region', '--media-port=', '--roles', '--kcp-interval-ms', '--no-pinning', '--cpu={'),
    );
    fc.assert(
      fc.property(fc.array(argument, { maxLength: 8 }), (argv) => {
        try {
          assert.ok(loadConfig(schema, { argv: argv.filter((a) => !/^(-h|--help|--config)/.test(a)) }).region.length > 0);
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
        }
      }),
    );
  });
});
