import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Node, Pod } from '@millrace/kube';
import { ownAddresses } from './own-addresses.ts';
import { CONTAINER } from './names.ts';

function pod(env: Record<string, string>, status: Pod['status'] = {}, hostNetwork = true): Pod {
  const variables = Object.entries(env).map(([name, value]) => ({ name, value }));
  const spec = { hostNetwork, containers: [{ name: CONTAINER, image: 'i', env: variables }] };
  return { metadata: { name: 'a' }, spec, status };
}
const host = (...addresses: [type: string, address: string][]): Node => ({
  metadata: { name: 'h' },
  status: { addresses: addresses.map(([type, address]) => ({ type, address })) },
});
const running = { hostIP: '192.0.2.7', hostIPs: [{ ip: '192.0.2.7' }, { ip: '2001:DB8::7' }], podIPs: [{ ip: '10.0.0.9' }] };

describe('The addresses that a node may announce', () => {
  const cases: [what: string, pod: Pod, host: Node | undefined, expected: string[] | undefined][] = [
    ['are none before the kubelet knows its pod', pod({}), host(['InternalIP', '192.0.2.7']), undefined],
    ['are those of the host by default, written in one way', pod({}, running), undefined, ['192.0.2.7', '2001:db8::7']],
    [
      'are further ones of the Kubernetes Node too, and no names of it',
      pod({ MILLRACE_ANNOUNCED_SOURCE: 'HostIP' }, running),
      host(['InternalIP', '192.0.2.8'], ['ExternalIP', '203.0.113.7'], ['Hostname', 'h'], ['InternalDNS', 'h.example']),
      ['192.0.2.7', '192.0.2.8', '2001:db8::7', '203.0.113.7'],
    ],
    [
      'are those of the pod where its edge says so',
      pod({ MILLRACE_ANNOUNCED_SOURCE: 'PodIP' }, running, false),
      host(['InternalIP', '192.0.2.8']),
      ['10.0.0.9'],
    ],
    [
      'are the static ones alone where its edge names them, before the pod has any of its own',
      pod({ MILLRACE_ANNOUNCED_SOURCE: 'Static', MILLRACE_ANNOUNCED_ADDRESSES: 'Edge.example, 203.0.113.9' }),
      host(['InternalIP', '192.0.2.8']),
      ['203.0.113.9', 'edge.example'],
    ],
    [
      'leave out what is no address of a host',
      pod({ MILLRACE_ANNOUNCED_SOURCE: 'Static', MILLRACE_ANNOUNCED_ADDRESSES: '0.0.0.0,a b' }),
      undefined,
      undefined,
    ],
  ];
  for (const [what, of, on, expected] of cases) test(what, () => assert.deepEqual(ownAddresses(of, on), expected));

  test('follow the last of several variables of one name, as the kubelet does', () => {
    const twice = pod({ MILLRACE_ANNOUNCED_SOURCE: 'HostIP' }, running);
    const { env } = twice.spec!.containers[0]!;
    env!.push(
      { name: 'MILLRACE_ANNOUNCED_SOURCE', value: 'Static' },
      { name: 'MILLRACE_ANNOUNCED_ADDRESSES', value: '203.0.113.9' },
    );
    assert.deepEqual(ownAddresses(twice, undefined), ['203.0.113.9']);
  });
});
