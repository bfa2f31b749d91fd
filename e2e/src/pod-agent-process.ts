// Plays the kubelet: runs the pods of a kubeconfig's cluster as local processes. `pod-agent-process.ts KUBECONFIG DATA_DIR`
import { fileURLToPath } from 'node:url';
import { loadKubeconfig } from '@millrace/kube';
import { createLogger } from '@millrace/service';
import { startPodAgent } from '@millrace/standalone';

const [file = '', dataDir = ''] = process.argv.slice(2);
const main = fileURLToPath(new URL('../../media-node/src/main.ts', import.meta.url));
const agent = await startPodAgent({
  kubeconfig: loadKubeconfig({ file }),
  nodeName: 'test',
  dataDir,
  commandFor: () => [process.execPath, main],
  logger: createLogger({ service: 'pod-agent', level: 'warn' }),
});
process.once('SIGTERM', () => void agent.stop().then(() => process.exit(0)));
