import { streamRoutes, type MediaNode, type RelayMesh, type StreamRoute } from '@millrace/api';
import {
  Applier,
  createController,
  PendingWrites,
  type Change,
  type Controller,
  type Informer,
  type KubeObject,
  type Trigger,
} from '@millrace/kube';
import { isPaused } from '../paused.ts';
import { applyStatus } from '../apply-status.ts';
import type { TermDependencies } from '../term.ts';
import { NodeIndex } from './node-index.ts';
import { pausedStatus, planRoute, type RouteObservation } from './plan.ts';
import { RouteIndex } from './route-index.ts';

const FIELD_MANAGER = 'millrace-streamroute';

/** Dependencies of the StreamRoute controller. */
export interface StreamRouteDependencies extends TermDependencies {
  readonly streamRoutes: Informer<StreamRoute>;
  readonly nodes: Informer<MediaNode>;
  /** Nodes name their mesh. Routes over a deleted mesh are not planned any more. */
  readonly meshes: Informer<RelayMesh>;
}

/** Reconciles StreamRoutes: conflicts, references, whether nodes run them. Keys are `namespace/name`. */
export function createStreamRouteController(deps: StreamRouteDependencies): Controller {
  const { client, clock, logger, metrics } = deps;
  const applier = new Applier(client, FIELD_MANAGER);
  const writes = new PendingWrites({ informer: deps.streamRoutes, client, clock, logger, metrics });
  const indexes = new Indexes(deps);
  const observe = (route: StreamRoute): RouteObservation => {
    const { namespace = '', name } = route.metadata;
    const { routes, nodes } = indexes.of(namespace);
    const carriers = [...routes.carriersOf(name)].flatMap((node) => deps.nodes.store.get(`${namespace}/${node}`) ?? []);
    return {
      route,
      shadowed: routes.shadowedPatterns(name),
      carriers: carriers.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)),
      surroundings: {
        regionCount: nodes.regionCount,
        hasRegion: (region) => nodes.hasRegion(region),
        goneMeshes: [...nodes.meshes].filter((mesh) => !deps.meshes.store.get(`${namespace}/${mesh}`)).sort(),
        isRouted: (policyKey) => nodes.isRouted(policyKey),
      },
      nowMs: clock.wall(),
    };
  };

  const reconcile = async (
    key: string,
    { signal }: { signal: AbortSignal },
  ): Promise<{ requeueAfterMs?: number | undefined }> => {
    const cached = deps.streamRoutes.store.get(key);
    if (!cached || cached.metadata.deletionTimestamp) return {};
    await writes.verify(key, signal);
    const route = writes.view(key, [cached]).objects[0] ?? cached;
    const { namespace = '', name } = route.metadata;
    const observation = observe(route);
    const plan = isPaused(route) ? { status: pausedStatus(observation), events: [] } : planRoute(observation);
    const apply = async (status: typeof plan.status): Promise<StreamRoute> => {
      const desired = { metadata: { name, namespace }, status } as unknown as StreamRoute;
      return (await applier.apply(streamRoutes, desired, route, { subresource: 'status', signal })).object;
    };
    for (const event of plan.events) deps.recorder.event(route, event);
    await writes.update(key, () => applyStatus(plan.status, clock.wall(), apply));
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
    watches: indexes.watches(),
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

/** The indexes from which the status of StreamRoutes follows, kept current by the caches. They return the routes that a change affects. */
class Indexes {
  readonly #deps: StreamRouteDependencies;
  readonly #byNamespace = new Map<string, { readonly routes: RouteIndex; readonly nodes: NodeIndex }>();

  constructor(deps: StreamRouteDependencies) {
    this.#deps = deps;
  }

  of(namespace: string): { readonly routes: RouteIndex; readonly nodes: NodeIndex } {
    let indexes = this.#byNamespace.get(namespace);
    if (!indexes) this.#byNamespace.set(namespace, (indexes = { routes: new RouteIndex(), nodes: new NodeIndex() }));
    return indexes;
  }

  /** Called once, because the subscriptions also keep the indexes current. */
  watches(): Trigger[] {
    const { streamRoutes: routes, nodes, meshes } = this.#deps;
    return [
      follow(routes, (change, namespace) => this.of(namespace).routes.apply(change)),
      follow(nodes, (change, namespace) => this.#concernedBy(change, namespace)),
      follow(meshes, ({ type, object }, namespace) => {
        const { routes, nodes } = this.of(namespace);
        return type !== 'updated' && nodes.hasMesh(object.metadata.name) ? routes.all() : [];
      }),
    ];
  }

  #concernedBy(change: Change<MediaNode>, namespace: string): Iterable<string> {
    const { routes, nodes } = this.of(namespace);
    const news = nodes.apply(change);
    if (news.concernsAll) return routes.all();
    return [
      ...(news.node === undefined ? [] : routes.carriedBy(news.node)),
      ...news.regions.flatMap((region) => [...routes.namingRegion(region)]),
      ...news.policies.flatMap((policy) => [...routes.withPolicy(policy)]),
    ];
  }
}

/** Enqueues the StreamRoutes that a change affects: `concerned` returns their names, in the namespace of the changed object. */
function follow<T extends KubeObject>(
  informer: Informer<T>,
  concerned: (change: Change<T>, namespace: string) => Iterable<string>,
): Trigger {
  return {
    whenSynced: (signal) => informer.whenSynced(signal),
    subscribe: (enqueue) =>
      informer.subscribe((change) => {
        const namespace = change.object.metadata?.namespace ?? '';
        for (const name of concerned(change, namespace)) enqueue(`${namespace}/${name}`);
      }),
  };
}
