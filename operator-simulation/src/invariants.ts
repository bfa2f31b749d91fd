import type { MediaEdge, MediaNode, RelayMesh, StreamRoute } from '@millrace/api';
import type { Lease, Pod } from '@millrace/kube';
import { findCondition } from '@millrace/kube';
import type { HttpRequest } from '@millrace/kube';
import type { MemoryApi, StoreEvent } from '@millrace/testkit/kube-api';
import { NODE_LABEL, templateHash } from '@millrace/operator';
import type { Fleet, SimulatedNode } from './fleet/index.ts';
import { SETTINGS } from './operator-process.ts';
import { EDGES, LEASES, MEDIA_NODES, MESHES, OPERATOR_LEASE, PODS, ROUTES, SECRETS } from './paths.ts';

/** Checks at every write to the store that no invariant is violated. */
export class InvariantChecker {
  readonly violations: string[] = [];
  readonly #api: MemoryApi;
  readonly #fleet: Fleet;
  readonly #wall: () => number;
  /** By uid of the edge: its maximum number of replicas and its minimum drain timeout so far. */
  readonly #maxima = new Map<string, { replicas: number; timeoutMs: number }>();
  /** By uid of the pod: since when (ms since the epoch) it drains, according to its MediaNode. */
  readonly #draining = new Map<string, number>();
  /** After a restore the Lease names a former holder until the current one renews it. */
  #leaseIsPast = false;

  constructor(api: MemoryApi, fleet: Fleet, wall: () => number) {
    this.#api = api;
    this.#fleet = fleet;
    this.#wall = wall;
    api.store.subscribe((event) => {
      this.#learn(event);
      if (event.by !== '') this.#check(event);
    });
  }

  restored(): void {
    this.#leaseIsPast = true;
    this.#draining.clear();
    for (const [, stored] of this.#api.store.list(MEDIA_NODES)) this.#learnDrain(stored as unknown as MediaNode);
  }

  /** Checks a write request of an operator process on arrival. */
  onWrite(identity: string, { method, path: target, body }: HttpRequest): void {
    const path = target.split('?')[0] ?? '';
    if (path.startsWith(LEASES)) return;
    const lease = this.#api.objects.get(OPERATOR_LEASE) as Lease | undefined;
    const holder = lease?.spec?.holderIdentity;
    if (!this.#leaseIsPast && holder && holder !== identity) {
      this.#report(`deposed: ${identity} sent ${method} ${path} while ${holder} held the lease`);
    }
    if (method !== 'DELETE' || !path.startsWith(`${PODS}/`)) return;
    // A deletion that arrives after its sender's term may only affect the pod version that the sender observed.
    const { preconditions } = JSON.parse(body ?? '{}') as { preconditions?: { uid?: string; resourceVersion?: string } };
    if (!preconditions?.uid || !preconditions.resourceVersion) this.#report(`unguarded: DELETE ${path} names no uid and version`);
    const pod = this.#api.objects.get(path) as Pod | undefined;
    const node = this.#fleet.nodes.get(pod?.metadata?.uid ?? '');
    if (pod && node) this.#checkDeletion(pod, node);
  }

  #checkDeletion(pod: Pod, node: SimulatedNode): void {
    if (node.sessions === 0 || pod.metadata?.deletionTimestamp) return;
    const { timeoutMs = 0 } = this.#maxima.get(ownerOf(pod)) ?? {};
    const since = this.#draining.get(node.uid);
    if (since !== undefined && this.#wall() - since >= timeoutMs - 1_000) return;
    this.#report(
      `killed: ${node.name} is deleted with ${node.sessions} sessions, draining ${since === undefined ? 'never' : `for ${this.#wall() - since} ms`}`,
    );
  }

  #learn({ where, object, type, by }: StoreEvent): void {
    if (where.collection === EDGES && type !== 'DELETED') {
      const { metadata, spec } = object as unknown as MediaEdge;
      const before = this.#maxima.get(metadata.uid ?? '') ?? { replicas: 0, timeoutMs: Infinity };
      this.#maxima.set(metadata.uid ?? '', {
        replicas: Math.max(before.replicas, spec.replicas),
        timeoutMs: Math.min(before.timeoutMs, spec.drain.timeoutSeconds * 1000),
      });
    }
    if (where.collection === MEDIA_NODES && type !== 'DELETED') this.#learnDrain(object as unknown as MediaNode);
    if (where.name === 'millrace-operator' && by !== '') this.#leaseIsPast = false;
  }

  #learnDrain({ spec }: MediaNode): void {
    if (!spec.drain) this.#draining.delete(spec.pod.uid);
    else if (!this.#draining.has(spec.pod.uid))
      this.#draining.set(spec.pod.uid, Math.min(this.#wall(), Date.parse(spec.drain.since)));
  }

  #check({ where, type, object }: StoreEvent): void {
    if (type === 'ADDED' && where.collection === PODS) this.#checkCount(object as Pod);
  }

  /** Pods of one template must not exceed the maximum replicas so far; pods of all templates may exceed it by maxSurge (1). */
  #checkCount(created: Pod): void {
    const uid = ownerOf(created);
    const alive = this.#api.store
      .list(PODS)
      .map(([, pod]) => pod as Pod)
      .filter((pod) => ownerOf(pod) === uid && !pod.metadata?.deletionTimestamp && pod.status?.phase !== 'Failed')
      .filter((pod) => !this.#draining.has(pod.metadata?.uid ?? ''));
    const sameTemplate = alive.filter(
      (pod) => pod.metadata?.labels?.[NODE_LABEL.template] === created.metadata?.labels?.[NODE_LABEL.template],
    );
    const { replicas = 0 } = this.#maxima.get(uid) ?? {};
    if (sameTemplate.length > replicas)
      this.#report(
        `twice: ${sameTemplate.length} pods of one template where at most ${replicas} were desired (${created.metadata?.name})`,
      );
    if (alive.length > replicas + 1)
      this.#report(`twice: ${alive.length} pods where at most ${replicas} and one more are allowed (${created.metadata?.name})`);
  }

  #report(violation: string): void {
    if (this.violations.length < 20) this.violations.push(violation);
  }
}

/** The differences between the specs and the current state; empty when everything has converged. */
export function differences(api: MemoryApi): string[] {
  const edges = all<MediaEdge>(api, EDGES);
  const pods = all<Pod>(api, PODS);
  const nodes = all<MediaNode>(api, MEDIA_NODES);
  const mesh = api.objects.get(`${MESHES}/world`) as unknown as RelayMesh | undefined;
  const found: string[] = [];
  for (const edge of edges) found.push(...edgeDifferences(edge, pods, nodes, mesh));
  for (const pod of pods)
    if (!edges.some(({ metadata }) => metadata.uid === ownerOf(pod))) found.push(`${pod.metadata?.name}: pod without an edge`);
  for (const { metadata, spec } of nodes) {
    if (!pods.some((pod) => pod.metadata?.uid === spec.pod.uid)) found.push(`${metadata.name}: MediaNode without a pod`);
  }
  if (mesh) found.push(...meshDifferences(api, mesh, nodes));
  for (const route of all<StreamRoute>(api, ROUTES)) {
    const { metadata, status } = route;
    if (status?.observedGeneration !== metadata.generation) found.push(`${metadata.name}: status of an older generation`);
    if (!findCondition(status?.conditions, 'Ready')) found.push(`${metadata.name}: no condition`);
  }
  return found;
}

function edgeDifferences(
  edge: MediaEdge,
  pods: readonly Pod[],
  nodes: readonly MediaNode[],
  mesh: RelayMesh | undefined,
): string[] {
  const { metadata, spec, status } = edge;
  const found: string[] = [];
  const report = (what: string): void => void found.push(`${metadata.name}: ${what}`);
  if (metadata.deletionTimestamp) return [`${metadata.name}: not deleted yet`];
  const own = pods.filter((pod) => ownerOf(pod) === metadata.uid);
  if (own.length !== spec.replicas) report(`${own.length} pods, ${spec.replicas} desired`);
  const hash = templateHash(edge, SETTINGS);
  for (const pod of own) {
    if (pod.metadata?.labels?.[NODE_LABEL.template] !== hash) report(`${pod.metadata?.name} is of an older template`);
    const node = nodes.find((one) => one.spec.pod.uid === pod.metadata?.uid);
    if (!node) report(`${pod.metadata?.name} has no MediaNode`);
    else if (node.spec.cordoned || node.spec.drain) report(`${pod.metadata?.name} is draining`);
  }
  if (status?.observedGeneration !== metadata.generation) report('status of an older generation');
  if (status?.ready !== spec.replicas) report(`${status?.ready} ready in status`);
  const wanted = spec.replicas > 0 && mesh ? 'True' : 'False';
  const ready = findCondition(status?.conditions, 'Ready');
  if (ready?.status !== wanted) report(`Ready is ${ready?.status} (${ready?.reason}: ${ready?.message}), should be ${wanted}`);
  return found;
}

function meshDifferences(api: MemoryApi, mesh: RelayMesh, nodes: readonly MediaNode[]): string[] {
  const { metadata, status } = mesh;
  const found: string[] = [];
  if (status?.observedGeneration !== metadata.generation) found.push('world: status of an older generation');
  if (status?.memberCount !== nodes.length)
    found.push(`world: ${status?.memberCount} members in status, ${nodes.length} nodes exist`);
  if (!api.objects.has(`${SECRETS}/world-trunk-key`)) found.push('world: no key');
  if (nodes.length > 0 && findCondition(status?.conditions, 'ResolvedRefs')?.reason === 'NoMembers')
    found.push('world: reports no members');
  const relays = new Set(nodes.filter(({ spec }) => spec.roles.includes('relay')).map((node) => node.metadata.name));
  for (const {
    metadata: { name },
    spec,
  } of nodes) {
    const peers = (spec.peers ?? []).map(({ node }) => node).sort();
    const wanted = spec.roles.includes('relay') ? [...relays].filter((relay) => relay !== name).sort() : undefined;
    if (wanted && peers.join() !== wanted.join()) found.push(`${name}: probes ${peers.join()}, should probe ${wanted.join()}`);
    const missing = (spec.routes ?? [])
      .flatMap(({ paths }) => paths.flatMap(({ hops }) => hops))
      .filter((hop) => !relays.has(hop));
    if (missing.length > 0) found.push(`${name}: routes over ${missing.join()}, which does not exist`);
  }
  return found;
}

function all<T>(api: MemoryApi, collection: string): T[] {
  return api.store.list(collection).map(([, stored]) => stored as unknown as T);
}

function ownerOf(pod: Pod): string {
  return pod.metadata?.ownerReferences?.[0]?.uid ?? '';
}
