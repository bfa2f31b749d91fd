import { randomBytes } from 'node:crypto';
import type { KubeClient } from '@millrace/kube';
import { isAlreadyExists, secrets } from '@millrace/kube';
import { APP_KEYS_SECRET } from '@millrace/control';

/** The name under which the console calls control. */
const APP = 'console';

/** The console's key for control, made at the first start. Throws when a Secret that Millrace did not create lacks it. */
export async function ensureAppKey(client: KubeClient, namespace: string, signal: AbortSignal): Promise<string> {
  const ref = { namespace, name: APP_KEYS_SECRET };
  const made = randomBytes(24).toString('base64url');
  try {
    const data = { [APP]: Buffer.from(made).toString('base64') };
    await client.create(secrets, { metadata: ref, type: 'Opaque', data }, { fieldManager: 'millrace-up', signal });
    return made;
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
  const key = (await client.get(secrets, ref, { signal })).data?.[APP];
  if (!key)
    throw new Error(`Secret ${APP_KEYS_SECRET} has no key for "${APP}": add one of at least 16 characters, or delete the Secret`);
  // A list of apps may stand behind it.
  return Buffer.from(key, 'base64').toString().trim().split(/\s/, 1)[0]!;
}
