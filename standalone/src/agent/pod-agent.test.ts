import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type KubeClient, createKubeClient, kubeconfigFor, nodes, pods } from '@millrace/kube';
import { createLogger } from '@millrace/service';
import type { ApiServer } from '../apiserver/index.ts';
import { startTestServer, testToken } from '../apiserver/testing/api-under-test.ts';
import { startPodAgent } from './index.ts';
import type { PodAgent } from './index.ts';
import type { Container, Pod } from './pod.ts';
import { groupLives } from './process-group.ts';

let api: ApiServer;
let client: KubeClient;
let agent: PodAgent;
const root = mkdtempSync(join(tmpdir(), 'millrace-agent-'));
const logger = createLogger({ service: 'pod-agent', level: 'error' });
const kubeconfig = () => kubeconfigFor(api.url, { token: testToken, caData: Buffer.from(api.ca).toString('base64') });
const startAgent = () =>
  startPodAgent({
    kubeconfig: kubeconfig(),
    nodeName: 'test',
    dataDir: join(root, 'agent'),
    images: ['test', 'other'],
    commandFor: (image) => (image === 'test' || image === 'other' ? [] : undefined),
    logger,
    stopGraceMs: 1000,
  });

before(async () => {
  api = await startTestServer(join(root, 'api'));
  client = createKubeClient({ kubeconfig: kubeconfig() });
  agent = await startAgent();
});
after(async () => {
  await agent.stop();
  client.close();
  await api.close();
  rmSync(root, { recursive: true, force: true });
});

const ref = (name: string) => ({ namespace: 'default', name });
const sh = (script: string, more: Partial<Container> = {}) =>
  ({ name: 'c', image: 'test', command: ['sh', '-c', script], ...more }) as Container;
const create = (name: string, container: Container, spec: object = {}) =>
  client.create(pods, {
    metadata: ref(name),
    spec: { terminationGracePeriodSeconds: 1, containers: [container], ...spec },
  });

async function until(name: string, isRight: (pod: Pod | undefined) => boolean, timeoutMs = 15_000): Promise<Pod | undefined> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const pod = await client.find(pods, ref(name));
    if (isRight(pod)) return pod;
    if (Date.now() > deadline) assert.fail(`${name}: ${JSON.stringify(pod?.status)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const isReady = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
const processOf = (pod: Pod | undefined) =>
  Number(/process:\/\/(\d+)-/.exec(pod?.status?.containerStatuses?.[0]?.containerID ?? '')?.[1]);

describe('pod agent', { timeout: 60_000 }, () => {
  test('registers a node that is Ready', async () => {
    const node = await client.get(nodes, { name: 'test' });
    assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  });
  test('binds and runs a pod, Ready when its probe says so; its token and state folder are at the configured paths', async () => {
    const script = 'test -s "$TOKEN" && touch "$STATE/ready" && exec sleep 60';
    const env = [
      { name: 'TOKEN', value: '/var/run/t/token' },
      { name: 'STATE', value: '/var/lib/s' },
    ];
    const readinessProbe = { exec: { command: ['sh', '-c', 'test -f "$STATE/ready"'] }, periodSeconds: 1 };
    const volumeMounts = [
      { name: 't', mountPath: '/var/run/t' },
      { name: 's', mountPath: '/var/lib/s' },
    ];
    const volumes = [
      { name: 't', projected: { sources: [{ serviceAccountToken: { audience: 'millrace-control', path: 'token' } }] } },
      { name: 's', emptyDir: {} },
    ];
    await create('ready', sh(script, { env, readinessProbe, volumeMounts }), { volumes });
    const pod = await until('ready', isReady);
    assert.equal(pod?.spec?.nodeName, 'test');
    await client.delete(pods, ref('ready'));
    await until('ready', (gone) => gone === undefined);
    assert.equal(groupLives(processOf(pod)), false);
  });
  test('a securityContext, which a process of this machine cannot have, is passed over: /tmp is still a volume of the pod', async () => {
    const script = 'touch "$MARK" && exec sleep 60';
    const env = [{ name: 'MARK', value: '/tmp/millrace-locked-down-mark' }];
    const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true };
    const readinessProbe = { exec: { command: ['sh', '-c', 'test -f "$MARK"'] }, periodSeconds: 1 };
    const container = sh(script, { env, securityContext, readinessProbe, volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }] });
    await create('locked-down', container, {
      securityContext: { runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      volumes: [{ name: 'tmp', emptyDir: {} }],
    });
    await until('locked-down', isReady);
    assert.equal(existsSync('/tmp/millrace-locked-down-mark'), false);
    await client.delete(pods, ref('locked-down'));
  });
  test('a container that dies is restarted and counted, with its exit code in the status', async () => {
    await create('crash', sh('exit 7'));
    const pod = await until('crash', (seen) => (seen?.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 2);
    assert.equal(pod?.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 7);
    await client.delete(pods, ref('crash'));
  });
  test('a pod with restartPolicy Never becomes Succeeded or Failed', async () => {
    await create('good', sh('exit 0'), { restartPolicy: 'Never' });
    await create('bad', sh('kill -9 $$$$'), { restartPolicy: 'Never' });
    await until('good', (pod) => pod?.status?.phase === 'Succeeded');
    const bad = await until('bad', (pod) => pod?.status?.phase === 'Failed');
    const terminated = bad?.status?.containerStatuses?.[0]?.state?.terminated;
    assert.deepEqual([terminated?.exitCode, terminated?.signal], [137, 9]);
  });
  test('a process that ignores SIGTERM is killed after its grace period, its children too', async () => {
    await create('stubborn', sh('trap "" TERM; sleep 61 & while true; do sleep 0.1; done'));
    const pod = await until('stubborn', isReady);
    await client.delete(pods, ref('stubborn'));
    await until('stubborn', (gone) => gone === undefined);
    assert.equal(groupLives(processOf(pod)), false);
  });
  test('a command that does not exist is reported in the status', async () => {
    await create('missing', { ...sh(''), command: ['/no/such/program'] }, { restartPolicy: 'Never' });
    const pod = await until('missing', (seen) => seen?.status?.phase === 'Failed');
    assert.match(pod?.status?.containerStatuses?.[0]?.state?.terminated?.message ?? '', /no\/such\/program/);
  });
  test('stopping the agent leaves no process; its next run starts the pods again', async () => {
    await create('lasting', sh('exec sleep 60'));
    const first = await until('lasting', isReady);
    await agent.stop();
    assert.equal(groupLives(processOf(first)), false);
    agent = await startAgent();
    const again = await until('lasting', (pod) => isReady(pod) && processOf(pod) !== processOf(first));
    assert.equal(again?.status?.containerStatuses?.[0]?.restartCount, 1);
  });
  test('an unknown image is ErrImagePull, then ImagePullBackOff, and names the known images; a known one then starts', async () => {
    await create('unknown', { ...sh('exec sleep 60'), image: 'registry.example:5000/nginx:1.27' });
    const state = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state;
    const pod = await until('unknown', (seen) => state(seen)?.waiting?.reason === 'ErrImagePull');
    const message = state(pod)?.waiting?.message ?? '';
    assert.match(message, /image "registry\.example:5000\/nginx:1\.27" cannot be had: .* in place of test, other/);
    await until('unknown', (seen) => state(seen)?.waiting?.reason === 'ImagePullBackOff');
    const setImage = (value: string) => {
      const patch = [{ op: 'replace', path: '/spec/containers/0/image', value }];
      return client.patch(pods, ref('unknown'), { type: 'json', patch: patch as never }, { fieldManager: 'test' });
    };
    await setImage('test');
    const running = await until('unknown', isReady);
    await setImage('other');
    const replaced = await until('unknown', (seen) => isReady(seen) && processOf(seen) !== processOf(running));
    assert.equal(replaced?.status?.containerStatuses?.[0]?.image, 'other');
    await client.delete(pods, ref('unknown'));
  });
  test('a pod with unsupported features is refused with the field named, and can be deleted', async () => {
    const lifecycle = { preStop: { exec: { command: ['true'] } } };
    await create('refused', sh('exec sleep 60', { lifecycle }), {
      initContainers: [{ name: 'i', image: 'test' }],
      volumes: [{ name: 'v', nfs: { server: 'x', path: '/x' } }],
    });
    const pod = await until('refused', (seen) => seen?.status?.phase === 'Failed');
    assert.equal(pod?.status?.reason, 'Unsupported');
    assert.match(
      pod?.status?.message ?? '',
      /does not do spec\.initContainers, spec\.containers\[c\]\.lifecycle\.preStop, spec\.volumes\[v\]\.nfs/,
    );
    await client.delete(pods, ref('refused'));
    await until('refused', (gone) => gone === undefined);
  });
});
