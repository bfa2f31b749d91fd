import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { parse } from 'yaml';
import {
  callers,
  consoleService,
  controlService,
  mediaNodeService,
  openApiDocument,
  opsService,
  verdictOf,
} from '../src/operations/index.ts';

const FOLDER = join(import.meta.dirname, '../../docs/reference/openapi');
const services = [controlService, mediaNodeService, consoleService, opsService];

describe('the OpenAPI documents', () => {
  for (const name of readdirSync(FOLDER)) {
    test(`${name} is valid OpenAPI 3.1 to an independent validator`, async () => {
      const { valid, errors } = await new Validator().validate(
        parse(readFileSync(join(FOLDER, name), 'utf8')) as Record<string, unknown>,
      );
      assert.ok(valid, JSON.stringify(errors));
    });
  }

  test('every reference leads to a schema, and none is there for nothing', () => {
    for (const service of services) {
      const text = JSON.stringify(openApiDocument(service));
      const document = JSON.parse(text) as { components: { schemas: Record<string, object> } };
      const used = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name));
      assert.deepEqual([...used].sort(), Object.keys(document.components.schemas).sort(), service.name);
      for (const [name, schema] of Object.entries(document.components.schemas))
        assert.ok('type' in schema || 'anyOf' in schema, `${name} says nothing`);
    }
  });

  test('ids are unique, and each {parameter} of a path has a schema', () => {
    const ids = services.flatMap((service) => service.operations.map(({ id }) => id));
    assert.equal(new Set(ids).size, ids.length);
    for (const { path, parameters = {} } of services.flatMap((service) => service.operations)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      assert.deepEqual(Object.keys(parameters), inPath, path);
    }
  });

  test('what the access rules refuse with is among the documented answers', () => {
    for (const service of services)
      for (const operation of service.operations)
        for (const caller of callers) {
          const verdict = verdictOf(operation.access, caller);
          const documented = verdict === 'yes' || verdict in operation.answers;
          assert.ok(documented, `${operation.id}: ${caller} gets ${verdict}`);
        }
  });
});
