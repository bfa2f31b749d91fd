import { CannotListen, type Clock, type Logger } from '@millrace/service';
import type { NodePlace } from './addresses/index.ts';
import { workerCount, type MediaNodeConfig } from './config.ts';
import { MediaCores } from './media/index.ts';
import { Relay } from './relay/index.ts';

/** The relay thread with the trunk port. @throws CannotListen */
export async function startRelay(
  config: MediaNodeConfig,
  { listen }: NodePlace,
  nodeKeySeed: string,
  logger: Logger,
): Promise<Relay> {
  const trunk = { host: listen, port: config.trunkPort };
  try {
    return await Relay.start({ trunk, logger, self: { node: config.nodeName, nodeKeySeed }, roles: config.roles });
  } catch (error) {
    if (!/\bEADDR|\bEACCES/.test(String(error))) throw error;
    throw new CannotListen(error, { ...trunk, setting: 'trunkPort (MILLRACE_TRUNK_PORT)', protocol: 'UDP' });
  }
}

/** The media workers, each on its port. */
export function startCores(config: MediaNodeConfig, { binds }: NodePlace, logger: Logger, clock: Clock): Promise<MediaCores> {
  const { mediaPort, pinning } = config;
  return MediaCores.start({ count: workerCount(config), mediaPort, binds, pinning, logger, clock });
}
