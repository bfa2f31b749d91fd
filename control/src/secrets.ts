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
  /** The signing keys were read, or changed. */
  onSigningKeys: () => void;
  clock: Clock;
  logger: Logger;
}

/** Keeps signing keys and app keys as their Secrets say, and creates the signing key where there is none. @returns what stops it */
export function followSecrets(options: FollowedSecrets): () => Promise<unknown> {
  const { client, namespace, signingKeys, appKeys, onSigningKeys, logger } = options;
  const tokenKey = new NamedSecret({
    client,
    namespace,
    name: TOKEN_KEY_SECRET,
    logger,
    onData: (data) => {
      // Deleting the Secret is no rotation: nodes and clients still hold what its key signed.
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
      const weak = appKeys.load(data);
      if (weak.length > 0) logger.warn({ apps: weak }, 'app keys shorter than 16 characters are not accepted');
    },
  });
  const stop = new AbortController();
  const creating = createTokenKey(options, tokenKey, stop.signal);
  return () => {
    stop.abort();
    return Promise.all([tokenKey.stop(), apps.stop(), creating]);
  };
}

/** Of replicas that start together the first one creates the key, and the others read it. */
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
