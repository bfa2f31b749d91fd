import { streamRoutes, type MediaNode, type RelayMesh, type StreamRoute } from '@millrace/api';
import { Applier, createController, objectKey, PendingWrites, trigger, type Controller, type Informer } from '@millrace/kube';
import { isPaused } from '../paused.ts';
import type { TermDependencies } from '../term.ts';
import { pausedStatus, planRoute } from './plan.ts';

const FIELD_MANAGER = 'millrace-streamroute';

/** What the StreamRoute controller looks at. */
export interface StreamRouteDependencies extends TermDependencies {
  readonly streamRoutes: Informer<StreamRoute>;
  readonly nodes: Informer<MediaNode>;
  /** Nodes name their mesh; one that is gone leads nowhere. */
  readonly meshes: Informer<RelayMesh>;
}

/** Reconciles StreamRoutes: conflicts, references, whether nodes run them. Keys are `namespace/name`. */
export function createStreamRouteController(deps: StreamRouteDependencies): Controller {
  const { client, clock, logger, metrics } = deps;
  const applier = new Applier(client, FIELD_MANAGER);
  const writes = new PendingWrites({ informer: deps.streamRoutes, client, clock, logger, metrics });
  const inNamespace = (namespace: string | undefined): StreamRoute[] =>
    deps.streamRoutes.store.list().filter(({ metadata }) => metadata.namespace === namespace);

  const reconcile = async (
    key: string,
    { signal }: { signal: AbortSignal },
  ): Promise<{ requeueAfterMs?: number | undefined }> => {
    const cached = deps.streamRoutes.store.get(key);
    if (!cached || cached.metadata.deletionTimestamp) return {};
    await writes.verify(key, signal);
    const route = writes.view(key, [cached]).objects[0] ?? cached;
    const { namespace = '', name } = route.metadata;
    const nodes = deps.nodes.store.list().filter(({ metadata }) => metadata.namespace === namespace);
    const meshes = deps.meshes.store.list().filter(({ metadata }) => metadata.namespace === namespace);
    const observation = { route, routes: inNamespace(namespace), nodes, meshes, nowMs: clock.wall() };
    const plan = isPaused(route) ? { status: pausedStatus(observation), events: [] } : planRoute(observation);
    const desired = { metadata: { name, namespace }, status: plan.status } as unknown as StreamRoute;
    await writes.update(
      key,
      async () => (await applier.apply(streamRoutes, desired, route, { subresource: 'status', signal })).object,
    );
    for (const event of plan.events) deps.recorder.event(route, event);
    return { requeueAfterMs: writes.recheckAfterMs(key) };
  };

  const controller = createController({
    name: 'streamroute',
    fence: deps.fence,
    logger,
    clock,
    random: deps.random,
    metrics,
    reconcile,
    watches: [
      // A route's patterns and age decide about the others' conflicts too.
      trigger(deps.streamRoutes, (route) => inNamespace(route.metadata.namespace).map(objectKey)),
      trigger(deps.nodes, (node, change) =>
        change.type === 'updated' && saysTheSame(change.old, node) ? [] : inNamespace(node.metadata.namespace).map(objectKey),
      ),
      trigger(deps.meshes, (mesh, { type }) => (type === 'updated' ? [] : inNamespace(mesh.metadata.namespace).map(objectKey))),
    ],
  });
  return {
    ...controller,
    run: async (signal) => {
      try {
        await controller.run(signal);
      } finally {
        writes.close();
      }
    },
  };
}

/** Load and links change all the time; what StreamRoutes look at does not. */
function saysTheSame(a: MediaNode, b: MediaNode): boolean {
  return a.metadata.generation === b.metadata.generation && a.status?.programmedGeneration === b.status?.programmedGeneration;
}
