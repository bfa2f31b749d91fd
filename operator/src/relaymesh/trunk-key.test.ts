import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RelayMesh } from '@millrace/api';
import { KubeClient, TokenBucket } from '@millrace/kube';
import { FakeClock } from '@millrace/testkit';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { ensureTrunkKey } from './trunk-key.ts';

const key = (bytes: number): string => Buffer.alloc(bytes, 1).toString('base64');
const mesh = {
  metadata: { name: 'world', namespace: 'default' },
  spec: { transport: { encryption: {} } },
} as unknown as RelayMesh;

async function judge(data: Record<string, string>): Promise<string | undefined> {
  const clock = new FakeClock();
  const api = new MemoryApi({ clock });
  api.put('/api/v1/namespaces/default/secrets/world-trunk-key', { data });
  const limiter = new TokenBucket({ clock, qps: 100, burst: 100 });
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1000, limiter });
  const state = await ensureTrunkKey(client, mesh, new AbortController().signal);
  return state.ok ? undefined : `${state.reason}: ${state.message}`;
}

test('each key of a Secret must have its length; the fields that have not are named, with the effect', async () => {
  assert.equal(await judge({ psk: key(32), 'psk-old': key(32), note: 'YWJj' }), undefined);
  assert.match(
    (await judge({ psk: key(31) }))!,
    /^SecretInvalid: .*32 bytes.*"psk" holds 31\. Running nodes keep the last good key\.$/,
  );
  assert.match((await judge({ psk: key(32), 'psk-old': key(3) }))!, /"psk-old" holds 3\. Those fields are not used\.$/);
  assert.match((await judge({}))!, /"psk" holds 0/);
});
