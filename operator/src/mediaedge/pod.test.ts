import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MediaEdge } from '@millrace/api';
import { mediaEdgeCrd } from '@millrace/api/crds/definitions';
import { compileCrd, type JsonObject } from '@millrace/api/validation';
import { buildPod } from './pod.ts';

const crd = compileCrd(mediaEdgeCrd);
const edgeWith = (network: JsonObject): MediaEdge => {
  const edge: JsonObject = {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'MediaEdge',
    metadata: { name: 'edge', namespace: 'default', uid: 'u' },
    spec: { region: 'eu', roles: ['pull'], network },
  };
  crd.applyDefaults(edge);
  return edge as unknown as MediaEdge;
};

test('of the Secret that an edge names, only certificate and key are mounted', () => {
  const settings = { controlUrl: 'ws://control/v1/agent', defaultImage: 'media-node:1' };
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
