import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mediaNodes, type MediaNode } from '@millrace/api';
import { createKubeClient, loadKubeconfig } from '@millrace/operator/kube';
import { laptopManifest } from '../../../../e2e/src/laptop-manifest.ts';
import { startNetwork, type TestNetwork } from '../../../../e2e/src/network.ts';

/** The network of `make up`, each process of which tells its live heap. */
export interface WatchedNetwork {
  readonly network: TestNetwork;
  /** Where live heaps are written. */
  readonly heaps: string;
  nodes(): Promise<MediaNode[]>;
  stop(): Promise<void>;
}

export async function startWatchedNetwork(): Promise<WatchedNetwork> {
  const scratch = mkdtempSync(join(tmpdir(), 'millrace-load-'));
  const preload = new URL('live-heap.ts', import.meta.url);
  preload.searchParams.set('folder', scratch);
  const preloaded = `--import ${preload.href}`;
  const manifest = join(scratch, 'network.yaml');
  writeFileSync(manifest, laptopManifest({ NODE_OPTIONS: preloaded }));
  const network = await startNetwork({ env: { NODE_OPTIONS: preloaded, MILLRACE_MANIFEST: manifest } });
  const client = createKubeClient({ kubeconfig: loadKubeconfig({ file: network.kubeconfig }) });
  return {
    network,
    heaps: scratch,
    nodes: async () => (await client.list(mediaNodes, { namespace: 'default' })).items,
    stop: async () => {
      client.close();
      await network.stop();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}
