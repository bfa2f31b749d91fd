import { createLogger, loadConfig, onShutdown, runMain } from '@millrace/service';
import { MediaNodeConfig } from './config.ts';
import { startMediaNode } from './node.ts';

const STOP_WITHIN_MS = 25_000;

runMain(async () => {
  const config = loadConfig(MediaNodeConfig, { argv: process.argv.slice(2), env: process.env });
  process.title = `millrace-media-node ${config.nodeName}`;
  const logger = createLogger({ service: 'media-node', bindings: { node: config.nodeName, region: config.region } });
  const onFatal = (err: Error): void => {
    logger.fatal({ err }, 'the node cannot go on');
    process.exit(1);
  };
  const node = await startMediaNode(config, logger, { onFatal });
  onShutdown(logger, () => node.close(), { timeoutMs: STOP_WITHIN_MS });
});
