import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { Applier } from './apply.ts';
import { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import type { ManagedFieldsEntry } from './object.ts';
import { configMaps, type ConfigMap } from './resources.ts';
import type { HttpRequest, Transport } from './transport.ts';

const entry = (fields: object, init: Partial<ManagedFieldsEntry> = {}): ManagedFieldsEntry => ({
  manager: 'millrace-x',
  operation: 'Apply',
  time: '2026-01-01T00:00:00Z',
  fieldsV1: fields,
  ...init,
});

const ours = { 'f:data': { 'f:a': {} } };

function start() {
  let version = 0;
  const sent: HttpRequest[] = [];
  const answer = { lost: false };
  const transport: Transport = {
    send: async (request) => {
      sent.push(request);
      const body = JSON.parse(request.body ?? '{}') as ConfigMap;
      const metadata = { ...body.metadata, uid: 'u', resourceVersion: `${++version}`, managedFields: [entry(ours)] };
      if (answer.lost) throw KubeError.local('ConnectionLost', 'reset');
      const bytes = Buffer.from(JSON.stringify({ ...body, metadata }));
      return {
        status: 200,
        headers: {},
        body: (async function* () {
          yield bytes;
        })(),
      };
    },
    close: () => undefined,
  };
  const client = new KubeClient({ transport, clock: new FakeClock(), timeoutMs: 1_000 });
  return { applier: new Applier(client, 'millrace-x'), sent, answer };
}

const desired: ConfigMap = { metadata: { namespace: 'ns', name: 'a' }, data: { a: '1' } };
const shown = (init: { version?: string; uid?: string; managedFields?: ManagedFieldsEntry[] }): ConfigMap => ({
  metadata: {
    namespace: 'ns',
    name: 'a',
    uid: init.uid ?? 'u',
    resourceVersion: init.version ?? '77',
    managedFields: init.managedFields ?? [entry(ours)],
  },
});

describe('applier', () => {
  test('applies with its field manager and force, and only once', async () => {
    const { applier, sent } = start();
    const first = await applier.apply(configMaps, desired, undefined);
    assert.equal(first.sent, true);
    assert.equal(sent[0]?.path, '/api/v1/namespaces/ns/configmaps/a?fieldManager=millrace-x&force=true');
    assert.equal((await applier.apply(configMaps, structuredClone(desired), first.object)).sent, false);
    assert.equal(sent.length, 1);
  });

  test('applies when the desired state changes', async () => {
    const { applier } = start();
    const { object } = await applier.apply(configMaps, desired, undefined);
    assert.equal((await applier.apply(configMaps, { ...desired, data: { a: '2' } }, object)).sent, true);
  });

  test('does not apply when other managers change their own fields', async () => {
    const { applier } = start();
    await applier.apply(configMaps, desired, undefined);
    const other = entry({ 'f:data': { 'f:b': {} } }, { manager: 'kubectl' });
    assert.equal((await applier.apply(configMaps, desired, shown({ managedFields: [other, entry(ours)] }))).sent, false);
  });

  const reasons: [string, ConfigMap | undefined][] = [
    ['another manager took over one of our fields', shown({ managedFields: [entry({})] })],
    ['another manager took over all our fields', shown({ managedFields: [] })],
    ['a client with our manager name changed a value', shown({ managedFields: [entry(ours, { time: '2026-01-01T00:00:09Z' })] })],
    ['the object was recreated', shown({ uid: 'another' })],
    ['the object was deleted', undefined],
    ['we own only its status', shown({ managedFields: [entry(ours, { subresource: 'status' })] })],
    ['our manager name made an update, not an apply', shown({ managedFields: [entry(ours, { operation: 'Update' })] })],
  ];
  for (const [why, cached] of reasons) {
    test(`applies again when ${why}`, async () => {
      const { applier } = start();
      await applier.apply(configMaps, desired, undefined);
      assert.equal((await applier.apply(configMaps, desired, cached)).sent, true);
    });
  }

  test('applies to the observed object only: a deleted one is not recreated', async () => {
    const { applier, sent } = start();
    await applier.apply(configMaps, desired, shown({ uid: 'seen' }));
    assert.equal((JSON.parse(sent[0]!.body!) as ConfigMap).metadata?.uid, 'seen');
  });

  test('after an apply without an answer it always applies again', async () => {
    const { applier, answer } = start();
    const { object } = await applier.apply(configMaps, desired, undefined);
    answer.lost = true;
    await assert.rejects(applier.apply(configMaps, { ...desired, data: { a: '2' } }, object));
    answer.lost = false;
    assert.equal((await applier.apply(configMaps, desired, object)).sent, true);
  });

  test('applies status to its subresource, and remembers it separately', async () => {
    const { applier, sent } = start();
    await applier.apply(configMaps, desired, undefined);
    const { object } = await applier.apply(configMaps, desired, undefined, { subresource: 'status' });
    assert.match(sent[1]!.path, /\/a\/status\?/);
    assert.equal((await applier.apply(configMaps, desired, object, { subresource: 'status' })).sent, false);
  });
});
