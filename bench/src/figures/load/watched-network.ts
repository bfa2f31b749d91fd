import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mediaNodes, type MediaNode } from '@millrace/api';
import { createKubeClient, loadKubeconfig } from '@millrace/kube';
import type { TestNetwork } from '@millrace/testbed/network';
import type { Bench } from '../../figure.ts';
import { manifestFile, NODE_SETTINGS, startNetworkOf } from '../../bench-context.ts';

/** The network of `make up`, in which each process records its live heap. */
export interface WatchedNetwork {
  readonly network: TestNetwork;
  /** The folder in which live heaps are recorded. */
  readonly heaps: string;
  nodes(): Promise<MediaNode[]>;
}

export async function startWatchedNetwork({ ending, say }: Pick<Bench, 'ending' | 'say'>): Promise<WatchedNetwork> {
  const scratch = mkdtempSync(join(tmpdir(), 'millrace-load-'));
  ending.add(() => rmSync(scratch, { recursive: true, force: true }));
  const preload = new URL('live-heap.ts', import.meta.url);
  preload.searchParams.set('folder', scratch);
  const preloaded = `--import ${preload.href}`;
  const manifest = manifestFile(ending, { ...NODE_SETTINGS, NODE_OPTIONS: preloaded });
  const network = await startNetworkOf(ending, say, { env: { NODE_OPTIONS: preloaded, MILLRACE_MANIFEST: manifest } });
  const client = createKubeClient({ kubeconfig: loadKubeconfig({ file: network.kubeconfig }) });
  ending.add(() => client.close());
  return { network, heaps: scratch, nodes: async () => (await client.list(mediaNodes, { namespace: 'default' })).items };
}
