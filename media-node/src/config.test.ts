import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ConfigError, loadConfig } from '@millrace/service';
import { announcedHosts, MediaNodeConfig, workerCount } from './config.ts';
import { ReadyFile } from './ready-file.ts';

const ENV = {
  MILLRACE_NODE_NAME: 'edge-abcde',
  MILLRACE_REGION: 'a',
  MILLRACE_ROLES: 'pull,push',
  MILLRACE_CONTROL_URL: 'ws://control:8443/v1/agent',
  MILLRACE_HOST_IPS: '192.0.2.7',
  MILLRACE_MEDIA_PORT: '0',
};

describe('configuration', () => {
  test('the variables that the operator sets make a configuration', () => {
    const config = loadConfig(MediaNodeConfig, { env: { ...ENV, MILLRACE_ICE_SERVERS: 'stun:a.example:3478, turn:b.example' } });
    assert.deepEqual(
      [config.roles, config.mediaPort, config.pinning, announcedHosts(config)],
      [['pull', 'push'], 0, 'none', ['192.0.2.7']],
    );
    assert.deepEqual(config.iceServers, [{ urls: ['stun:a.example:3478'] }, { urls: ['turn:b.example'] }]);
  });

  test('every wrong one is named', () => {
    assert.throws(
      () =>
        loadConfig(MediaNodeConfig, {
          env: { ...ENV, MILLRACE_ROLES: 'pull,fly', MILLRACE_TRUNK_PORT: '70000', MILLRACE_NODE_NAME: '' },
        }),
      (error: unknown) =>
        error instanceof ConfigError &&
        ['MILLRACE_ROLES', 'MILLRACE_TRUNK_PORT', 'MILLRACE_NODE_NAME'].every((name) => error.message.includes(name)),
    );
  });

  test('a source of the announced address without the address says which variable is missing', () => {
    const config = loadConfig(MediaNodeConfig, { env: { ...ENV, MILLRACE_ANNOUNCED_SOURCE: 'Static' } });
    assert.throws(() => announcedHosts(config), /announcedSource is Static, so MILLRACE_ANNOUNCED_ADDRESSES must be set/);
  });

  test('several addresses are taken in their order, each once and in one way of writing', () => {
    const announced = (env: Record<string, string>): string[] =>
      announcedHosts(loadConfig(MediaNodeConfig, { env: { ...ENV, ...env } }));
    assert.deepEqual(announced({ MILLRACE_HOST_IPS: '192.0.2.7,2001:DB8:0::1,2001:db8::1, ::ffff:192.0.2.7' }), [
      '192.0.2.7',
      '2001:db8::1',
    ]);
    assert.deepEqual(
      announced({ MILLRACE_ANNOUNCED_SOURCE: 'Static', MILLRACE_ANNOUNCED_ADDRESSES: '2001:db8::,Edge.Example' }),
      ['2001:db8::', 'edge.example'],
    );
  });

  test('an address with a zone, one with a port and one of all interfaces are refused with the remedy', () => {
    for (const [address, why] of [
      ['fe80::1%eth0', /MILLRACE_HOST_IPS: fe80::1%eth0 has a zone .* without a zone/],
      ['192.0.2.7:40000', /MILLRACE_HOST_IPS: 192.0.2.7:40000 is not an IPv6 address; .* without a port/],
      ['0.0.0.0', /MILLRACE_HOST_IPS: 0.0.0.0 is not the address of a single host/],
    ] as const)
      assert.throws(() => loadConfig(MediaNodeConfig, { env: { ...ENV, MILLRACE_HOST_IPS: address } }), why);
  });

  test('a relay runs no media worker, others one for each core but two, and one at least', () => {
    const workers = (roles: ('push' | 'pull' | 'relay')[], cores: number): number => workerCount({ roles, cores });
    assert.deepEqual(
      [workers(['relay'], 8), workers(['push'], 1), workers(['pull', 'relay'], 2), workers(['pull'], 8)],
      [0, 1, 1, 6],
    );
  });
});

test('ready.json exists exactly while the node is ready', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-ready-'));
  const file = new ReadyFile(folder);
  await file.set({ signalingUrl: 'http://x' });
  assert.deepEqual(JSON.parse(await readFile(join(folder, 'ready.json'), 'utf8')), { signalingUrl: 'http://x' });
  await file.set(undefined);
  assert.deepEqual(await readdir(folder), []);
  await rm(folder, { recursive: true });
});
