import type { MediaEdge, MediaNode, RelayMesh, StreamRoute } from '@millrace/api';
import type { Lease, Pod } from '@millrace/kube';
import { findCondition } from '@millrace/kube';
import type { HttpRequest } from '@millrace/kube';
import type { MemoryApi, StoreEvent } from '@millrace/testkit/kube-api';
import { NODE_LABEL, templateHash } from '@millrace/operator';
import type { Fleet, TrueNode } from './fleet/index.ts';
import { SETTINGS } from './operator-process.ts';
import { EDGES, LEASES, MEDIA_NODES, MESHES, OPERATOR_LEASE, PODS, ROUTES, SECRETS } from './paths.ts';

/** What must never happen, looked at with every write that reaches the store. */
export class Watchdog {
  readonly violations: string[] = [];
  readonly #api: MemoryApi;
  readonly #fleet: Fleet;
  readonly #wall: () => number;
  /** By uid of the edge: most replicas it ever wanted, least drain timeout it ever had. */
  readonly #wished = new Map<string, { replicas: number; timeoutMs: number }>();
  /** Since when the uid of a pod drains, by what MediaNodes said. */
  readonly #draining = new Map<string, number>();
  /** After a restore the Lease shows a past holder until the present one renews it. */
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

  /** A request of an operator process that is not a read has arrived. */
  onWrite(identity: string, { method, path: target, body }: HttpRequest): void {
    const path = target.split('?')[0] ?? '';
    if (path.startsWith(LEASES)) return;
    const lease = this.#api.objects.get(OPERATOR_LEASE) as Lease | undefined;
    const holder = lease?.spec?.holderIdentity;
    if (!this.#leaseIsPast && holder && holder !== identity) {
      this.#say(`deposed: ${identity} sent ${method} ${path} while ${holder} held the lease`);
    }
    if (method !== 'DELETE' || !path.startsWith(`${PODS}/`)) return;
    // One that arrives later than its sender's term must find the very pod that was looked at, or none.
    const { preconditions } = JSON.parse(body ?? '{}') as { preconditions?: { uid?: string; resourceVersion?: string } };
    if (!preconditions?.uid || !preconditions.resourceVersion) this.#say(`unguarded: DELETE ${path} names no uid and version`);
    const pod = this.#api.objects.get(path) as Pod | undefined;
    const node = this.#fleet.nodes.get(pod?.metadata?.uid ?? '');
    if (pod && node) this.#checkDeletion(pod, node);
  }

  #checkDeletion(pod: Pod, node: TrueNode): void {
    if (node.sessions === 0 || pod.metadata?.deletionTimestamp) return;
    const { timeoutMs = 0 } = this.#wished.get(ownerOf(pod)) ?? {};
    const since = this.#draining.get(node.uid);
    if (since !== undefined && this.#wall() - since >= timeoutMs - 1_000) return;
    this.#say(
      `killed: ${node.name} is deleted with ${node.sessions} sessions, draining ${since === undefined ? 'never' : `for ${this.#wall() - since} ms`}`,
    );
  }

  #learn({ where, object, type, by }: StoreEvent): void {
    if (where.collection === EDGES && type !== 'DELETED') {
      const { metadata, spec } = object as unknown as MediaEdge;
      const before = this.#wished.get(metadata.uid ?? '') ?? { replicas: 0, timeoutMs: Infinity };
      this.#wished.set(metadata.uid ?? '', {
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

  /** Of one template, never more than ever were wished for; all templates together may be maxSurge more. */
  #checkCount(made: Pod): void {
    const uid = ownerOf(made);
    const alive = this.#api.store
      .list(PODS)
      .map(([, pod]) => pod as Pod)
      .filter((pod) => ownerOf(pod) === uid && !pod.metadata?.deletionTimestamp && pod.status?.phase !== 'Failed')
      .filter((pod) => !this.#draining.has(pod.metadata?.uid ?? ''));
    const alike = alive.filter(
      (pod) => pod.metadata?.labels?.[NODE_LABEL.template] === made.metadata?.labels?.[NODE_LABEL.template],
    );
    const { replicas = 0 } = this.#wished.get(uid) ?? {};
    if (alike.length > replicas)
      this.#say(`twice: ${alike.length} pods of one template where ${replicas} were ever wanted (${made.metadata?.name})`);
    if (alive.length > replicas + 1)
      this.#say(`twice: ${alive.length} pods where ${replicas} and one more may be (${made.metadata?.name})`);
  }

  #say(violation: string): void {
    if (this.violations.length < 20) this.violations.push(violation);
  }
}

/** What is not yet as the specs say; nothing when everything is. */
export function differences(api: MemoryApi): string[] {
  const edges = all<MediaEdge>(api, EDGES);
  const pods = all<Pod>(api, PODS);
  const nodes = all<MediaNode>(api, MEDIA_NODES);
  const mesh = api.objects.get(`${MESHES}/world`) as unknown as RelayMesh | undefined;
  const said: string[] = [];
  for (const edge of edges) said.push(...edgeDifferences(edge, pods, nodes, mesh));
  for (const pod of pods)
    if (!edges.some(({ metadata }) => metadata.uid === ownerOf(pod))) said.push(`${pod.metadata?.name}: a pod of no edge`);
  for (const { metadata, spec } of nodes) {
    if (!pods.some((pod) => pod.metadata?.uid === spec.pod.uid)) said.push(`${metadata.name}: a MediaNode of no pod`);
  }
  if (mesh) said.push(...meshDifferences(api, mesh, nodes));
  for (const route of all<StreamRoute>(api, ROUTES)) {
    const { metadata, status } = route;
    if (status?.observedGeneration !== metadata.generation) said.push(`${metadata.name}: status of an older generation`);
    if (!findCondition(status?.conditions, 'Ready')) said.push(`${metadata.name}: no condition`);
  }
  return said;
}

function edgeDifferences(
  edge: MediaEdge,
  pods: readonly Pod[],
  nodes: readonly MediaNode[],
  mesh: RelayMesh | undefined,
): string[] {
  const { metadata, spec, status } = edge;
  const said: string[] = [];
  const say = (what: string): void => void said.push(`${metadata.name}: ${what}`);
  if (metadata.deletionTimestamp) return [`${metadata.name}: still there`];
  const own = pods.filter((pod) => ownerOf(pod) === metadata.uid);
  if (own.length !== spec.replicas) say(`${own.length} pods, ${spec.replicas} wanted`);
  const hash = templateHash(edge, SETTINGS);
  for (const pod of own) {
    if (pod.metadata?.labels?.[NODE_LABEL.template] !== hash) say(`${pod.metadata?.name} is of an older template`);
    const node = nodes.find((one) => one.spec.pod.uid === pod.metadata?.uid);
    if (!node) say(`${pod.metadata?.name} has no MediaNode`);
    else if (node.spec.cordoned || node.spec.drain) say(`${pod.metadata?.name} is draining`);
  }
  if (status?.observedGeneration !== metadata.generation) say('status of an older generation');
  if (status?.ready !== spec.replicas) say(`${status?.ready} ready in status`);
  const wanted = spec.replicas > 0 && mesh ? 'True' : 'False';
  const ready = findCondition(status?.conditions, 'Ready');
  if (ready?.status !== wanted) say(`Ready is ${ready?.status} (${ready?.reason}: ${ready?.message}), should be ${wanted}`);
  return said;
}

function meshDifferences(api: MemoryApi, mesh: RelayMesh, nodes: readonly MediaNode[]): string[] {
  const { metadata, status } = mesh;
  const said: string[] = [];
  if (status?.observedGeneration !== metadata.generation) said.push('world: status of an older generation');
  if (status?.memberCount !== nodes.length)
    said.push(`world: ${status?.memberCount} members in status, ${nodes.length} are there`);
  if (!api.objects.has(`${SECRETS}/world-trunk-key`)) said.push('world: no key');
  if (nodes.length > 0 && findCondition(status?.conditions, 'ResolvedRefs')?.reason === 'NoMembers')
    said.push('world: sees no members');
  const relays = new Set(nodes.filter(({ spec }) => spec.roles.includes('relay')).map((node) => node.metadata.name));
  for (const {
    metadata: { name },
    spec,
  } of nodes) {
    const peers = (spec.peers ?? []).map(({ node }) => node).sort();
    const wanted = spec.roles.includes('relay') ? [...relays].filter((relay) => relay !== name).sort() : undefined;
    if (wanted && peers.join() !== wanted.join()) said.push(`${name}: probes ${peers.join()}, should probe ${wanted.join()}`);
    const dead = (spec.routes ?? []).flatMap(({ paths }) => paths.flatMap(({ hops }) => hops)).filter((hop) => !relays.has(hop));
    if (dead.length > 0) said.push(`${name}: routes over ${dead.join()}, which is gone`);
  }
  return said;
}

function all<T>(api: MemoryApi, collection: string): T[] {
  return api.store.list(collection).map(([, stored]) => stored as unknown as T);
}

function ownerOf(pod: Pod): string {
  return pod.metadata?.ownerReferences?.[0]?.uid ?? '';
}
