import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EnvironmentSources } from './environment.ts';
import { argvOf, environmentOf, expand, localPath } from './environment.ts';
import type { Container, ContainerStatus, Pod } from './pod.ts';
import { podStatus } from './pod-status.ts';
import { RestartBackoff, shouldRestart } from './restart-policy.ts';
import { obstacle } from './scheduling.ts';

const pod = {
  metadata: { name: 'p', namespace: 'n', uid: 'u', labels: { a: '1' } },
  spec: { nodeName: 'laptop', containers: [] },
} as unknown as Pod;
const addresses = { hostIPs: ['127.0.0.1', '192.0.2.7'], podIPs: ['127.0.0.1'] };
const sources: EnvironmentSources = {
  addresses,
  mounts: new Map([
    ['/var/run/token', '/data/token'],
    ['/var/run', '/data/run'],
  ]),
  lookUp: (kind, name, key) => (kind === 'secret' && name === 's' && key === 'k' ? 'hidden' : undefined),
  lookUpAll: (kind, name) => (kind === 'configMap' && name === 'c' ? { one: '1' } : undefined),
};
const container = (more: Partial<Container>) => ({ name: 'c', ...more });

describe('environment', () => {
  test('fields of the pod, keys of Secrets and whole ConfigMaps become variables', () => {
    const env = [
      { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['a']" } } },
      { name: 'HOST', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
      { name: 'HOSTS', valueFrom: { fieldRef: { fieldPath: 'status.hostIPs' } } },
      { name: 'SECRET', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
      { name: 'BOTH', value: '$(NAME)-$(SECRET)-$$(NAME)-$(NOPE)' },
    ];
    assert.deepEqual(environmentOf(pod, container({ env, envFrom: [{ prefix: 'C_', configMapRef: { name: 'c' } }] }), sources), {
      C_one: '1',
      NAME: 'p',
      LABEL: '1',
      HOST: '127.0.0.1',
      HOSTS: '127.0.0.1,192.0.2.7',
      SECRET: 'hidden',
      BOTH: 'p-hidden-$(NAME)-$(NOPE)',
    });
  });
  test('a missing key is an error that names variable and key, unless it is optional', () => {
    const reference = (optional: boolean) => [{ name: 'X', valueFrom: { secretKeyRef: { name: 's', key: 'none', optional } } }];
    assert.throws(() => environmentOf(pod, container({ env: reference(false) }), sources), /env X: secret "s" has no key "none"/);
    assert.deepEqual(environmentOf(pod, container({ env: reference(true) }), sources), {});
  });
  test('paths below a mountPath point to the local volume, the longest mountPath first', () => {
    assert.equal(localPath('/var/run/token/t', sources.mounts), '/data/token/t');
    assert.equal(localPath('/var/run/x', sources.mounts), '/data/run/x');
    assert.equal(localPath('/var/runner', sources.mounts), '/var/runner');
  });
  test('command replaces the program of the image, and args follow either', () => {
    assert.deepEqual(argvOf(container({ args: ['$(A)'] }), ['node', 'main.ts'], { A: 'x' }, sources.mounts), [
      'node',
      'main.ts',
      'x',
    ]);
    assert.deepEqual(argvOf(container({ command: ['sh'], args: ['/var/run/f'] }), ['node'], {}, sources.mounts), [
      'sh',
      '/data/run/f',
    ]);
    assert.equal(expand('$$', {}), '$');
  });
});

describe('restarts', () => {
  test('the policy decides by exit code', () => {
    const table = [
      ['Always', 0, true],
      ['Always', 1, true],
      ['OnFailure', 0, false],
      ['OnFailure', 1, true],
      ['Never', 1, false],
    ] as const;
    for (const [policy, exitCode, expected] of table)
      assert.equal(shouldRestart(policy, { exitCode }), expected, `${policy} ${exitCode}`);
  });
  test('the first restart is immediate, then delays double up to a minute; a long run resets them', () => {
    const backoff = new RestartBackoff();
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => backoff.next(100)),
      [0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000],
    );
    assert.equal(backoff.next(60_000), 0);
  });
});

describe('pod status', () => {
  const status = (state: object, more: object = {}) =>
    ({ name: 'c', ready: false, restartCount: 0, state, ...more }) as unknown as ContainerStatus;
  const phase = (restartPolicy: string, ...containers: ContainerStatus[]) =>
    podStatus({ ...pod, spec: { ...pod.spec, restartPolicy } } as Pod, containers, undefined, addresses, 0).phase;
  test('phase follows from the containers and the restart policy', () => {
    const over = (exitCode: number) => status({ terminated: { exitCode } });
    assert.equal(phase('Always', status({ waiting: {} })), 'Pending');
    assert.equal(phase('Always', status({ running: {} })), 'Running');
    assert.equal(phase('Always', over(1)), 'Running');
    assert.equal(phase('Never', over(0), over(0)), 'Succeeded');
    assert.equal(phase('Never', over(0), over(3)), 'Failed');
    assert.equal(phase('OnFailure', over(3)), 'Running');
  });
  test('Ready keeps its transition time until its status changes', () => {
    const first = podStatus(pod, [status({ running: {} }, { ready: true })], undefined, addresses, 1000);
    const same = podStatus(pod, [status({ running: {} }, { ready: true })], first, addresses, 9000);
    const turned = podStatus(pod, [status({ running: {} })], same, addresses, 9000);
    const time = (of: typeof first) => of.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
    assert.deepEqual([time(same), time(turned)], ['1970-01-01T00:00:01Z', '1970-01-01T00:00:09Z']);
  });
});

describe('scheduling', () => {
  const podWith = (spec: object, phase = 'Running') =>
    ({ metadata: {}, spec: { containers: [], ...spec }, status: { phase } }) as unknown as Pod;
  const port = (hostPort: number) => ({ containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort, protocol: 'UDP' }] }] });
  test('a pod does not fit a node that lacks a label or has its port in use', () => {
    assert.match(obstacle(podWith({ nodeSelector: { zone: 'a' } }), {}, []) ?? '', /zone=a/);
    assert.match(obstacle(podWith(port(5)), {}, [podWith(port(5))]) ?? '', /5\/UDP is taken/);
    assert.equal(obstacle(podWith(port(5)), {}, [podWith(port(5), 'Succeeded'), podWith(port(6))]), undefined);
  });
});
