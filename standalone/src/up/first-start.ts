import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import { mediaEdges, relayMeshes, streamRoutes } from '@millrace/api';
import type { KubeClient, KubeObject, Resource } from '@millrace/kube';

const KINDS: Record<string, Resource> = Object.fromEntries(
  [mediaEdges, relayMeshes, streamRoutes].map((kind) => [kind.kind, kind as Resource]),
);

/** The annotation with which `kubectl apply` compares, so that it can later change and remove these objects (kubectl, "declarative management"). */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Creates the resources of a manifest, unless the network has resources of its own already. Returns how many were created. */
export async function applyFirstStart(
  client: KubeClient,
  manifest: URL,
  namespace: string,
  signal: AbortSignal,
): Promise<number> {
  for (const resource of Object.values(KINDS)) {
    const { items } = await client.list(resource, { namespace, limit: 1, signal });
    if (items.length > 0) return 0;
  }
  const objects = parseAllDocuments(await readFile(manifest, 'utf8')).map((document) => document.toJS() as KubeObject);
  for (const object of objects) {
    const resource = KINDS[object.kind ?? ''];
    if (!resource) throw new Error(`${manifest.pathname}: kind ${object.kind} is not one of ${Object.keys(KINDS).join(', ')}`);
    const applied = { ...object, metadata: { ...object.metadata, namespace } };
    const annotations = { [LAST_APPLIED]: `${JSON.stringify(applied)}\n` };
    await client.create(
      resource,
      { ...applied, metadata: { ...applied.metadata, annotations } },
      { fieldManager: 'millrace-up', signal },
    );
  }
  return objects.length;
}
