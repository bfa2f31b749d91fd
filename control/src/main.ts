import { contextNamespace, loadKubeconfig } from '@millrace/kube';
import { createLogger, loadConfig, onShutdown, realClock, runMain } from '@millrace/service';
import { ControlConfig } from './config.ts';
import { startControl } from './control.ts';
import { RedisDirectory } from './directory/index.ts';

runMain(async () => {
  const config = loadConfig(ControlConfig, { argv: process.argv.slice(2), env: process.env });
  const {
    kubeconfig: file,
    context,
    redisUrl,
    redisPrefix,
    stopGraceSeconds,
    logLevel,
    tls,
    tlsSecret,
    tlsDir,
    ...options
  } = config;
  const logger = createLogger({ service: 'control', level: logLevel });
  const kubeconfig = loadKubeconfig({ ...(file === undefined ? {} : { file }), ...(context === undefined ? {} : { context }) });
  const namespace = options.namespace ?? contextNamespace(kubeconfig) ?? 'default';
  const directory =
    redisUrl === undefined
      ? undefined
      : await RedisDirectory.connect({ url: redisUrl, fleet: redisPrefix ?? namespace, clock: realClock, logger });
  const control = await startControl({
    ...options,
    ...(tls ? { tls: tlsDir === undefined ? { secret: tlsSecret } : { folder: tlsDir } } : {}),
    kubeconfig,
    namespace,
    ...(directory ? { directory } : {}),
    logger,
  });
  onShutdown(logger, () => control.stop(stopGraceSeconds * 1000), { timeoutMs: stopGraceSeconds * 1000 + 10_000 });
});
