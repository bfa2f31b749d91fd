import { loadKubeconfig } from '@millrace/kube';
import { createLogger, loadConfig, onShutdown, realClock, runMain } from '@millrace/service';
import { ControlConfig } from './config.ts';
import { startControl } from './control.ts';
import { RedisDirectory } from './directory/index.ts';

runMain(async () => {
  const config = loadConfig(ControlConfig, { argv: process.argv.slice(2), env: process.env });
  const { kubeconfig, context, redisUrl, stopGraceSeconds, logLevel, ...options } = config;
  const logger = createLogger({ service: 'control', level: logLevel });
  const directory =
    redisUrl === undefined ? undefined : await RedisDirectory.connect({ url: redisUrl, clock: realClock, logger });
  const control = await startControl({
    ...options,
    kubeconfig: loadKubeconfig({
      ...(kubeconfig === undefined ? {} : { file: kubeconfig }),
      ...(context === undefined ? {} : { context }),
    }),
    ...(directory ? { directory } : {}),
    logger,
  });
  onShutdown(logger, () => control.stop(stopGraceSeconds * 1000), { timeoutMs: stopGraceSeconds * 1000 + 10_000 });
});
