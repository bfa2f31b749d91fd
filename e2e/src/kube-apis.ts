import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@millrace/service';
import { startApiServer, type ApiServer } from '@millrace/standalone';
import { crdDefinitions } from '@millrace/api/crds/definitions';
import { kubectlOf, startKubeCluster, type KubeCluster } from './kube-cluster.ts';

/** What a test needs of a Kubernetes API. */
export type KubeApi = Pick<
  KubeCluster,
  'kubeconfigPath' | 'kubectl' | 'kubectlWithInput' | 'tryKubectl' | 'killApiServer' | 'startApiServer' | 'forgetHistory' | 'stop'
>;

/** The APIs on which operator and control run, with Millrace's CRDs installed. The same tests must pass on each. */
export const kubeApis: readonly { name: string; start: () => Promise<KubeApi> }[] = [
  { name: 'a real Kubernetes API', start: startRealApi },
  { name: 'the standalone API', start: startStandaloneApi },
];

async function startRealApi(): Promise<KubeApi> {
  const cluster = await startKubeCluster();
  await cluster.kubectl('apply', '-f', new URL('../../crds', import.meta.url).pathname);
  await cluster.kubectl('wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all');
  // The API rejects pods whose service account does not exist.
  await cluster.kubectl('create', 'serviceaccount', 'millrace-media-node');
  return cluster;
}

async function startStandaloneApi(): Promise<KubeApi> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-standalone-'));
  const kubeconfigPath = join(folder, 'kubeconfig');
  let server: ApiServer | undefined;
  const start = async (port = 0): Promise<void> => {
    server = await startApiServer({
      dataDir: join(folder, 'data'),
      port,
      crds: crdDefinitions,
      tokens: { 'test-token': { user: 'admin', groups: ['system:masters'] } },
      logger: createLogger({ service: 'apiserver', level: 'warn' }),
    });
  };
  await start().catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  await writeFile(kubeconfigPath, server?.kubeconfig('admin') ?? '', { mode: 0o600 });
  return {
    kubeconfigPath,
    ...kubectlOf(join(process.env['MILLRACE_KUBERNETES_BIN'] ?? '', 'kubectl'), kubeconfigPath, folder),
    killApiServer: async () => server?.close(),
    startApiServer: () => start(server?.port),
    forgetHistory: async () => {
      await server?.close();
      await start(server?.port);
    },
    stop: async () => {
      await server?.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
