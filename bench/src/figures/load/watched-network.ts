import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { mediaNodes, type MediaEdge, type MediaNode } from '@millrace/api';
import { createKubeClient, loadKubeconfig } from '@millrace/operator/kube';
import { startNetwork, type TestNetwork } from '../../../../e2e/src/network.ts';

const LAPTOP = new URL('../../../../examples/laptop/network.yaml', import.meta.url);

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
  writeFileSync(manifest, withEnvironment(readFileSync(LAPTOP, 'utf8'), 'NODE_OPTIONS', preloaded));
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

/** Gives every media node of a manifest one more environment variable. */
function withEnvironment(manifest: string, name: string, value: string): string {
  return parseAllDocuments(manifest)
    .map((document) => {
      const resource = document.toJS() as { kind: string };
      if (resource.kind !== 'MediaEdge') return resource;
      const { spec } = resource as unknown as MediaEdge;
      return { ...resource, spec: { ...spec, template: { ...spec.template, env: [{ name, value }] } } };
    })
    .map((resource) => JSON.stringify(resource))
    .join('\n---\n');
}
