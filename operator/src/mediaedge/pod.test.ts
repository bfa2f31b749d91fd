import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MediaEdge } from '@millrace/api';
import { mediaEdgeCrd } from '@millrace/api/crds/definitions';
import { compileCrd, type JsonObject } from '@millrace/api/validation';
import { buildPod } from './pod.ts';

const crd = compileCrd(mediaEdgeCrd);
const edgeWith = (network: JsonObject, more: JsonObject = {}): MediaEdge => {
  const edge: JsonObject = {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'MediaEdge',
    metadata: { name: 'edge', namespace: 'default', uid: 'u' },
    spec: { region: 'eu', roles: ['pull'], network, ...more },
  };
  crd.applyDefaults(edge);
  return edge as unknown as MediaEdge;
};

const settings = { controlUrl: 'ws://control/v1/agent', defaultImage: 'media-node:1' };

test('a node runs without root, capabilities or a writable root file system', () => {
  const { spec } = buildPod(edgeWith({}), 'edge-1', settings);
  assert.deepEqual(spec?.securityContext, {
    runAsNonRoot: true,
    runAsUser: 65532,
    runAsGroup: 65532,
    fsGroup: 65532,
    seccompProfile: { type: 'RuntimeDefault' },
  });
  assert.deepEqual(
    spec?.containers.map(({ securityContext }) => securityContext),
    [{ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true }],
  );
  assert.equal(spec?.automountServiceAccountToken, false);
});

test('a node cannot take the memory of its host; with exclusive cores requests equal limits, which the static CPU policy wants', () => {
  const resources = (more: JsonObject) => buildPod(edgeWith({}, more), 'edge-1', settings).spec?.containers[0]?.resources;
  assert.deepEqual(resources({ cpu: { cores: 4, pinning: 'static' } }), {
    requests: { cpu: '4', memory: '2560Mi' },
    limits: { cpu: '4', memory: '2560Mi' },
  });
  assert.deepEqual(resources({}), { requests: { cpu: '2', memory: '1536Mi' }, limits: { memory: '1536Mi' } });
  assert.deepEqual(resources({ cpu: { pinning: 'none' }, memoryMiB: 4096 }), {
    requests: { cpu: '250m', memory: '256Mi' },
    limits: { memory: '4096Mi' },
  });
});

test('a node can write to its state folder and to /tmp, so much and no more', () => {
  const { spec } = buildPod(edgeWith({}), 'edge-1', settings);
  const container = spec?.containers[0];
  const stateDir = container?.env?.find(({ name }) => name === 'MILLRACE_STATE_DIR')?.value;
  for (const [path, size] of [
    [stateDir, '1Gi'],
    ['/tmp', '256Mi'],
  ]) {
    const mount = container?.volumeMounts?.find(({ mountPath }) => mountPath === path);
    assert.notEqual(mount?.readOnly, true, path);
    assert.deepEqual(spec?.volumes?.find(({ name }) => name === mount?.name)?.emptyDir, { sizeLimit: size }, path);
  }
});

test('a port below 1024 is opened to a node in a network of its own; on the host network the host decides', () => {
  const sysctls = (network: JsonObject) => buildPod(edgeWith(network), 'edge-1', settings).spec?.securityContext?.sysctls;
  const opened = [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }];
  assert.deepEqual(sysctls({ signalingPort: 443, hostNetwork: false }), opened);
  assert.deepEqual(sysctls({ mediaPort: 443, hostNetwork: false }), opened);
  assert.equal(sysctls({ signalingPort: 443 }), undefined);
  assert.equal(sysctls({ mediaPort: 0, opsPort: 0, hostNetwork: false }), undefined);
});

test('of the Secret that an edge names, only certificate and key are mounted', () => {
  const pod = buildPod(edgeWith({ tlsSecretRef: { name: 'any-secret' } }), 'edge-1', settings);
  const volume = pod.spec?.volumes?.find(({ secret }) => secret !== undefined);
  assert.deepEqual(volume?.secret, {
    secretName: 'any-secret',
    items: [
      { key: 'tls.crt', path: 'tls.crt' },
      { key: 'tls.key', path: 'tls.key' },
    ],
  });
  assert.equal(
    buildPod(edgeWith({}), 'edge-1', settings).spec?.volumes?.some(({ secret }) => secret !== undefined),
    false,
  );
});

test('a node finds the CA of control where the operator names a ConfigMap with it', () => {
  const { spec } = buildPod(edgeWith({}), 'edge-1', {
    ...settings,
    controlUrl: 'wss://control/v1/agent',
    controlCa: 'control-ca',
  });
  const file = spec?.containers[0]?.env?.find(({ name }) => name === 'MILLRACE_CONTROL_CA_FILE')?.value;
  const mount = spec?.containers[0]?.volumeMounts?.find(({ mountPath }) => file === `${mountPath}/ca.crt`);
  const volume = spec?.volumes?.find(({ name }) => name === mount?.name);
  assert.deepEqual(volume?.configMap, { name: 'control-ca', items: [{ key: 'ca.crt', path: 'ca.crt' }] });
});
