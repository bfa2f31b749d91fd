import { ConfigError, createLogger, loadConfig, onShutdown, runMain } from '@millrace/service';
import type { KubeConfig } from '@kubernetes/client-node';
import { OperatorConfig } from './config.ts';
import { loadKubeconfig } from '@millrace/kube';
import { startOperator } from './start.ts';

const STOP_TIMEOUT_MS = 20_000;

runMain(async () => {
  const config = loadConfig(OperatorConfig, { argv: process.argv.slice(2), env: process.env });
  const logger = createLogger({ service: 'operator', level: config.logLevel });
  const operator = await startOperator({
    kubeconfig: kubeconfigOf(config),
    namespace: config.namespace,
    leaseNamespace: config.leaseNamespace,
    controlUrl: config.controlUrl,
    controlCa: config.controlCa,
    controlCertificate: config.controlCertificate,
    mediaNodeImage: config.mediaNodeImage,
    watchHosts: config.watchHosts,
    metricsFrom: config.metricsFrom,
    ops: { host: config.opsHost, port: config.opsPort },
    qps: config.qps,
    burst: config.burst,
    logger,
  });
  logger.info({ opsUrl: operator.opsUrl }, 'operator started');
  onShutdown(logger, () => operator.stop(), { timeoutMs: STOP_TIMEOUT_MS });
  await operator.finished;
});

function kubeconfigOf({ kubeconfig: file, context }: OperatorConfig): KubeConfig {
  try {
    return loadKubeconfig({ ...(file ? { file } : {}), ...(context ? { context } : {}) });
  } catch (error) {
    throw new ConfigError([`--kubeconfig: ${(error as Error).message}`]);
  }
}
