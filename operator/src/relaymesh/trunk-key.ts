import { randomBytes } from 'node:crypto';
import { TRUNK_KEY_BYTES, type RelayMesh } from '@millrace/api';
import type { KubeClient, Secret } from '@millrace/kube';
import { isAlreadyExists, secrets } from '@millrace/kube';
import { Reason } from './reasons.ts';
import type { KeyState } from './status.ts';

/** The current key; further ones, for rotation, are `psk-…`. */
const TRUNK_KEY_FIELD = 'psk';
const MAX_NAMED = 5;

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
      message: `Secret ${name} does not exist. Create it with ${TRUNK_KEY_BYTES} random bytes under "${TRUNK_KEY_FIELD}", or leave out transport.encryption.secretRef.`,
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
  const bytesIn = (field: string): number => Buffer.from(String(secret.data?.[field] ?? ''), 'base64').length;
  const fields = [TRUNK_KEY_FIELD, ...Object.keys(secret.data ?? {}).filter((field) => field.startsWith(`${TRUNK_KEY_FIELD}-`))];
  const bad = fields.filter((field) => bytesIn(field) !== TRUNK_KEY_BYTES);
  if (bad.length === 0) return { ok: true };
  const held = bad.slice(0, MAX_NAMED).map((field) => `"${field}" holds ${bytesIn(field)}`);
  const effect = bad.includes(TRUNK_KEY_FIELD) ? 'Running nodes keep the last good key.' : 'Those fields are not used.';
  const message = `Secret ${name} must hold ${TRUNK_KEY_BYTES} bytes in each key; ${held.join(', ')}. ${effect}`;
  return { ok: false, reason: Reason.SecretInvalid, message };
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
    data: { [TRUNK_KEY_FIELD]: randomBytes(TRUNK_KEY_BYTES).toString('base64') },
  };
}
