// The standalone API in a process that tests can kill: `api-process.ts DATA_DIR PORT KUBECONFIG`.
// Writes the administrator's kubeconfig once it listens.
import { renameSync, writeFileSync } from 'node:fs';
import { crdDefinitions } from '@millrace/api/crds/definitions';
import { createLogger } from '@millrace/service';
import { startApiServer } from '@millrace/standalone';

const [dataDir = '', port = '0', kubeconfigFile = ''] = process.argv.slice(2);
const server = await startApiServer({
  dataDir,
  port: Number(port),
  crds: crdDefinitions,
  tokens: { 'test-token': { user: 'admin', groups: ['system:masters'] } },
  logger: createLogger({ service: 'apiserver', level: 'warn' }),
});
writeFileSync(`${kubeconfigFile}.new`, server.kubeconfig('admin'), { mode: 0o600 });
renameSync(`${kubeconfigFile}.new`, kubeconfigFile);
