import { isAlreadyExists, secrets, type KubeClient } from '@millrace/kube';
import type { Clock, Logger } from '@millrace/service';
import { NamedSecret } from './cluster/index.ts';
import { SigningKeys, type AppKeys } from './tokens/index.ts';

export const TOKEN_KEY_SECRET = 'millrace-token-key';
export const APP_KEYS_SECRET = 'millrace-app-keys';

const RETRY_MS = 2000;

interface FollowedSecrets {
  client: KubeClient;
  namespace: string;
  signingKeys: SigningKeys;
  appKeys: AppKeys;
  /** Called when the signing keys were read or have changed. */
  onSigningKeys: () => void;
  clock: Clock;
  logger: Logger;
}

/** Loads signing keys and app keys from their Secrets, and creates the signing key when there is none. @returns a function that stops it */
export function followSecrets(options: FollowedSecrets): () => Promise<unknown> {
  const { client, namespace, signingKeys, appKeys, onSigningKeys, logger } = options;
  const tokenKey = new NamedSecret({
    client,
    namespace,
    name: TOKEN_KEY_SECRET,
    logger,
    onData: (data) => {
      // Deleting the Secret does not revoke its keys: nodes and clients still hold tokens that they signed.
      if (data === undefined) return;
      signingKeys
        .load(data)
        .then(onSigningKeys, (err: unknown) =>
          logger.error({ err }, `Secret ${TOKEN_KEY_SECRET} is not usable; the keys known before stay`),
        );
    },
  });
  const apps = new NamedSecret({
    client,
    namespace,
    name: APP_KEYS_SECRET,
    logger,
    onData: (data) => {
      for (const { name, why } of appKeys.load(data)) logger.warn({ key: name, why }, 'an app key is not accepted');
    },
  });
  const stop = new AbortController();
  const creating = createTokenKey(options, tokenKey, stop.signal);
  return () => {
    stop.abort();
    return Promise.all([tokenKey.stop(), apps.stop(), creating]);
  };
}

/** When replicas start together, the first creates the key and the others read it. */
async function createTokenKey(
  { client, namespace, clock, logger }: FollowedSecrets,
  secret: NamedSecret,
  signal: AbortSignal,
): Promise<void> {
  try {
    await secret.whenSynced(signal);
  } catch {
    return;
  }
  while (!signal.aborted) {
    try {
      const metadata = { namespace, name: TOKEN_KEY_SECRET };
      if (await client.find(secrets, metadata, { signal })) return;
      await client.create(
        secrets,
        { metadata, type: 'Opaque', data: await SigningKeys.create() },
        { fieldManager: 'millrace-control', signal },
      );
      logger.info(`Secret ${TOKEN_KEY_SECRET} created`);
      return;
    } catch (err) {
      if (signal.aborted || isAlreadyExists(err)) return;
      logger.warn({ err }, `Secret ${TOKEN_KEY_SECRET} could not be created`);
      await new Promise<void>((resolve) => {
        const timer = clock.setTimeout(resolve, RETRY_MS);
        signal.addEventListener('abort', () => (clock.clearTimeout(timer), resolve()), { once: true });
      });
    }
  }
}
