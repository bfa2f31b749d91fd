import { loadKubeconfig } from '@millrace/kube';
import { createLogger } from '@millrace/service';
import { startPodAgent } from '../index.ts';

// A pod agent in a process that tests can kill: `agent-process.ts KUBECONFIG DATA_DIR`; prints `ready`.
const [file = '', dataDir = ''] = process.argv.slice(2);
await startPodAgent({
  kubeconfig: loadKubeconfig({ file }),
  nodeName: 'mortal',
  dataDir,
  images: ['test'],
  commandFor: (image) => (image === 'test' ? [] : undefined),
  logger: createLogger({ service: 'pod-agent', level: 'error' }),
});
process.stdout.write('ready\n');
