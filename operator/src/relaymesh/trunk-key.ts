import { randomBytes } from 'node:crypto';
import type { RelayMesh } from '@millrace/api';
import type { KubeClient, Secret } from '@millrace/kube';
import { isAlreadyExists, secrets } from '@millrace/kube';
import { Reason } from './reasons.ts';
import type { KeyState } from './status.ts';

const TRUNK_KEY_FIELD = 'psk';
const KEY_BYTES = 32;

/** Name of the Secret that holds the mesh's key. */
function trunkKeySecret(mesh: RelayMesh): string {
  return mesh.spec.transport.encryption.secretRef?.name ?? `${mesh.metadata.name}-trunk-key`;
}

/** Checks that the mesh's key exists and is usable; creates one when the mesh names none. Throws KubeError. */
export async function ensureTrunkKey(
  client: KubeClient,
  mesh: RelayMesh,
  signal: AbortSignal,
): Promise<KeyState & { created?: boolean }> {
  const name = trunkKeySecret(mesh);
  const ref = { namespace: mesh.metadata.namespace ?? '', name };
  const secret = await client.find(secrets, ref, { signal });
  if (secret) return judge(secret, name);
  if (mesh.spec.transport.encryption.secretRef) {
    return {
      ok: false,
      reason: Reason.SecretNotFound,
      message: `Secret ${name} does not exist. Create it with ${KEY_BYTES} random bytes under "${TRUNK_KEY_FIELD}", or leave out transport.encryption.secretRef.`,
    };
  }
  try {
    await client.create(secrets, newKey(mesh, name), { signal, fieldManager: 'millrace-relaymesh' });
    return { ok: true, created: true };
  } catch (error) {
    if (isAlreadyExists(error)) return { ok: true };
    throw error;
  }
}

function judge(secret: Secret, name: string): KeyState {
  const key = Buffer.from(String(secret.data?.[TRUNK_KEY_FIELD] ?? ''), 'base64');
  if (key.length === KEY_BYTES) return { ok: true };
  return {
    ok: false,
    reason: Reason.SecretInvalid,
    message: `Secret ${name} must hold ${KEY_BYTES} bytes under "${TRUNK_KEY_FIELD}"; it holds ${key.length}.`,
  };
}

/**
 * Sets no owner: a mesh that is deleted and recreated then finds its key, and its trunks, which the nodes keep meanwhile, stay up. A new
 * key would cut all of them.
 */
function newKey(mesh: RelayMesh, name: string): Secret {
  return {
    metadata: {
      name,
      namespace: mesh.metadata.namespace ?? '',
      labels: { 'millrace.dev/mesh': mesh.metadata.name },
    },
    type: 'Opaque',
    data: { [TRUNK_KEY_FIELD]: randomBytes(KEY_BYTES).toString('base64') },
  };
}
