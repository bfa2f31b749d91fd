import type { MediaEdge, MediaNode, RelayMesh } from '@millrace/api';
import type { Pod } from '@millrace/kube';
import { isTrue } from '@millrace/kube';
import { NODE_LABEL } from '@millrace/operator';
import { troublesOf, type LogTail } from './trouble.ts';

/** The objects from which the readiness of a network follows. */
export interface Observed {
  readonly edges: readonly MediaEdge[];
  readonly meshes: readonly RelayMesh[];
  readonly nodes: readonly MediaNode[];
  readonly pods: readonly Pod[];
  readonly logTail: LogTail;
}

/**
 * What is not ready yet, as text; undefined when everything is. Statuses of an earlier run remain until they are overwritten, so nodes count only if they connected to control since `startedAtMs` (Unix).
 */
export function missing({ edges, meshes, nodes, pods, logTail }: Observed, startedAtMs: number): string | undefined {
  // Times in the API have whole seconds.
  const since = Math.floor(startedAtMs / 1_000) * 1_000;
  const isHere = (node: MediaNode) =>
    isTrue(node.status?.conditions, 'AgentConnected') && Date.parse(node.status?.agent?.since ?? '') >= since;
  const waiting = edges.filter(
    (edge) =>
      !isTrue(edge.status?.conditions, 'Ready') || nodes.some((node) => node.spec.edge === edge.metadata.name && !isHere(node)),
  );
  if (waiting.length > 0) {
    const names = waiting.map((edge) => edge.metadata.name).join(', ');
    const why = waiting.flatMap((edge) => {
      const own = pods.filter((pod) => pod.metadata?.labels?.[NODE_LABEL.edge] === edge.metadata.name);
      return troublesOf(edge, own, logTail).map((line) => `\n      ${edge.metadata.name}: ${line}`);
    });
    return `${edges.length - waiting.length} of ${edges.length} edges are ready, waiting for ${names}${why.join('')}`;
  }
  return meshes.map(unreadiness).find((words) => words !== undefined);
}

function unreadiness(mesh: RelayMesh): string | undefined {
  const ready = mesh.status?.conditions?.find((condition) => condition.type === 'Ready');
  return ready?.status === 'True' ? undefined : `${mesh.metadata.name}: ${ready?.message ?? 'not looked at yet'}`;
}
