import { mediaEdges, mediaNodes, type MediaEdge, type MediaNode } from '@millrace/api';
import {
  isNotFound,
  isRefusal,
  KubeError,
  Applier,
  objectKey,
  parseKey,
  PendingWrites,
  pods,
  refOf,
  secrets,
  type Pod,
  type ReconcileContext,
} from '@millrace/kube';
import type { MediaEdgeDependencies } from './dependencies.ts';
import { confirmPlan } from './confirm.ts';
import { DisruptionBudgets } from './disruption-budget.ts';
import { observeInstance } from './instance.ts';
import { Attempts, whyRefused } from '../attempts.ts';
import { isPaused } from '../paused.ts';
import { applyStatus } from '../apply-status.ts';
import { desiredMediaNode } from './media-node.ts';
import { observeFailures } from './failures.ts';
import { wantedReplicas, type EdgeObservation, type EdgePlan, type Failing, type TlsSecret } from './model.ts';
import { FIELD_MANAGER, FINALIZER, LABEL } from './names.ts';
import { planEdge } from './plan.ts';
import { buildPod, templateHash } from './pod.ts';
import { EVENT } from './reasons.ts';

/** How often the operator checks again for a TLS Secret that is missing or unreadable. */
const SECRET_RECHECK_MS = 30_000;
/** Like the suffixes that Kubernetes generates: no vowels, no look-alikes. */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;

/** Carries out the plan of each edge. */
export class MediaEdgeReconciler {
  readonly #deps: MediaEdgeDependencies;
  readonly #applier: Applier;
  readonly #budgets: DisruptionBudgets;
  readonly #edges: PendingWrites<MediaEdge>;
  readonly #pods: PendingWrites<Pod>;
  readonly #nodes: PendingWrites<MediaNode>;
  /** By uid of the edge. Lost at a restart, which only delays a condition. */
  readonly #failing = new Map<string, Failing>();
  readonly #secrets = new Map<string, { secret: TlsSecret; checkedMs: number }>();

  constructor(deps: MediaEdgeDependencies) {
    const { client, clock, logger, metrics } = deps;
    this.#deps = deps;
    this.#applier = new Applier(client, FIELD_MANAGER);
    this.#budgets = new DisruptionBudgets(client, clock);
    this.#edges = new PendingWrites({ informer: deps.edges, client, clock, logger, metrics });
    this.#pods = new PendingWrites({ informer: deps.pods, client, clock, logger, metrics });
    this.#nodes = new PendingWrites({ informer: deps.nodes, client, clock, logger, metrics });
  }

  close(): void {
    for (const writes of [this.#edges, this.#pods, this.#nodes]) writes.close();
  }

  async reconcile(key: string, { signal }: ReconcileContext): Promise<{ requeueAfterMs?: number }> {
    const cached = this.#deps.edges.store.get(key);
    if (!cached) {
      const { namespace = '', name } = parseKey(key);
      this.#deps.edgeMetrics?.remove(namespace, name);
      this.#forget();
      return {};
    }
    for (const writes of [this.#edges, this.#pods, this.#nodes]) await writes.verify(key, signal);
    let edge = this.#edges.view(key, [cached]).objects[0] ?? cached;
    const isDeleting = edge.metadata.deletionTimestamp !== undefined;
    if (isDeleting && !edge.metadata.finalizers?.includes(FINALIZER)) return {}; // our part is done: other finalizers, or foreground deletion of its pods, still hold it
    if (!isDeleting && !edge.metadata.finalizers?.includes(FINALIZER)) edge = await this.#hold(key, edge, signal);
    const confirmed = await confirmPlan(this.#deps.client, await this.#observe(key, edge, signal), signal);
    if (!confirmed) return {}; // the edge is gone and the cache has not caught up yet
    const { observation, plan } = confirmed;
    this.#learn(key, observation);
    edge = observation.edge;
    this.#deps.edgeMetrics?.set(edge, plan.status);
    await this.#carryOut(key, edge, observation, plan, signal);
    const secretAgainMs = observation.tlsSecret.state === 'found' ? undefined : SECRET_RECHECK_MS;
    const rechecks = [this.#edges, this.#pods, this.#nodes].map((writes) => writes.recheckAfterMs(key));
    const requeueAfterMs = smallest(plan.requeueAfterMs, secretAgainMs, ...rechecks);
    return requeueAfterMs === undefined ? {} : { requeueAfterMs };
  }

  /** Drops what is remembered of edges that are gone. */
  #forget(): void {
    const uids = new Set(this.#deps.edges.store.list().map(({ metadata }) => metadata.uid ?? ''));
    for (const uid of this.#failing.keys()) if (!uids.has(uid)) this.#failing.delete(uid);
    this.#budgets.keep(uids);
    const secretNames = new Set(this.#deps.edges.store.list().map(tlsSecretKey));
    for (const key of this.#secrets.keys()) if (!secretNames.has(key)) this.#secrets.delete(key);
  }

  #observeFailures(edge: MediaEdge, own: readonly Pod[]): Failing | undefined {
    const { clock, settings } = this.#deps;
    const uid = edge.metadata.uid ?? '';
    const failing = observeFailures(this.#failing.get(uid), edge, own, templateHash(edge, settings), clock.wall());
    if (failing) this.#failing.set(uid, failing);
    else this.#failing.delete(uid);
    return failing;
  }

  /** Records what was read directly from the API, which counts until the caches have caught up. */
  #learn(key: string, { edge, pods: read, mediaNodes: nodes }: EdgeObservation): void {
    this.#edges.learn(key, edge);
    for (const pod of read) this.#pods.learn(key, pod);
    for (const node of nodes) this.#nodes.learn(key, node);
  }

  async #observe(key: string, edge: MediaEdge, signal: AbortSignal): Promise<EdgeObservation> {
    const deps = this.#deps;
    const ownPods = this.#pods.view(key, deps.pods.store.byIndex('owner', edge.metadata.uid ?? ''));
    const ownNodes = this.#nodes.view(key, deps.nodes.store.byIndex('edge', key));
    return {
      edge,
      failing: this.#observeFailures(edge, ownPods.objects),
      pods: ownPods.objects,
      isDeleting: ownPods.isDeleting,
      uncertainCreates: ownPods.uncertain.length,
      mediaNodes: ownNodes.objects,
      cordonedHosts: cordonedHosts(deps),
      hostOf: (pod) => deps.hosts?.store.get(pod.spec?.nodeName ?? ''),
      missing: { mesh: this.#isMeshMissing(edge) },
      tlsSecret: await this.#findTlsSecret(edge, signal),
      trust: deps.verdicts.get(edge.metadata.namespace ?? ''),
      settings: deps.settings,
      isReplicaAlive: (replica) => deps.replicas.isAlive(replica),
      nowMs: deps.clock.wall(),
    };
  }

  /**
   * Carries out the plan: cordons nodes before it deletes pods, and creates what is missing before it reports status. One failed write stops
   * neither the other writes nor the status update; status names what the API rejected. Every failed write is retried later.
   */
  async #carryOut(
    key: string,
    edge: MediaEdge,
    observation: EdgeObservation,
    plan: EdgePlan,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, recorder } = this.#deps;
    const attempts = new Attempts(signal);
    const draining = new Set(observation.mediaNodes.filter(({ spec }) => spec.drain).map(({ metadata }) => metadata.name));
    let failedDrains = 0;
    for (const node of plan.mediaNodes) {
      const isApplied = await attempts.try(`MediaNode ${node.metadata.name}`, () => this.#applyNode(key, node, signal));
      if (!isApplied && node.spec.drain && !draining.has(node.metadata.name)) failedDrains++;
    }
    // A node whose drain could not be written still serves, so its replacement would exceed the planned number of nodes.
    const create = Math.max(0, plan.create - failedDrains);
    for (const event of plan.events) recorder.event(edge, event);
    for (const pod of plan.deletePods) {
      const { name = '', uid = '', resourceVersion = '' } = pod.metadata ?? {};
      const preconditions = { uid, resourceVersion }; // if the pod has changed since, the next reconcile decides again
      await attempts.try(`deletion of pod ${name}`, () =>
        this.#pods.delete(key, pod, () => client.delete(pods, refOf(pod), { preconditions, signal })),
      );
    }
    let createRefused: string | undefined;
    await attempts.try('creation of pods', async () => {
      const refused = await this.#createNodes(key, edge, observation, create, attempts, signal);
      createRefused = refused?.why;
      if (refused) throw refused.error;
    });
    for (const { pod, inUse } of plan.inUse) {
      const patch = { type: 'merge', patch: { metadata: { labels: { [LABEL.inUse]: String(inUse) } } } } as const;
      await attempts.try(`label of pod ${refOf(pod).name}`, () =>
        this.#pods.update(key, () => client.patch(pods, refOf(pod), patch, { fieldManager: FIELD_MANAGER, signal })),
      );
    }
    for (const node of plan.deleteMediaNodes)
      await attempts.try(`deletion of MediaNode ${node.metadata.name}`, () => this.#deleteNode(key, node, signal));
    if (!isPaused(edge) && wantedReplicas(edge) > 0)
      await attempts.try('PodDisruptionBudget', () => this.#budgets.ensure(edge, signal));
    const refusals = attempts.refusals.filter(({ what }) => what !== 'creation of pods');
    const isRefused = createRefused !== undefined || refusals.length > 0;
    const reported = isRefused
      ? planEdge({ ...observation, refusals, ...(createRefused === undefined ? {} : { createRefused }) })
      : plan;
    await attempts.try('status', () => this.#writeStatus(edge, reported, signal));
    attempts.throwFailures();
    if (plan.finalizer === 'remove') {
      const others = (edge.metadata.finalizers ?? []).filter((name) => name !== FINALIZER);
      await this.#setFinalizers(edge, others, signal).catch((error: unknown) => {
        if (!isNotFound(error)) throw error; // it is already gone: the cache was late
      });
    }
  }

  /** Stops at the first pod that the API rejects, since it would reject the next one too. */
  async #createNodes(
    key: string,
    edge: MediaEdge,
    observation: EdgeObservation,
    count: number,
    attempts: Attempts,
    signal: AbortSignal,
  ): Promise<{ error: KubeError; why: string } | undefined> {
    for (let made = 0; made < count; made++) {
      const name = `${edge.metadata.name}-${this.#suffix()}`;
      try {
        await this.#createNode(key, edge, name, observation, attempts, signal);
      } catch (error) {
        if (!(error instanceof KubeError) || error.code < 400 || error.code >= 500) throw error;
        // Each attempt uses another name. Without the name, the same error gives the same status.
        return { error, why: whyRefused(error).replaceAll(name, `${edge.metadata.name}-*`) };
      }
    }
    return undefined;
  }

  async #createNode(
    key: string,
    edge: MediaEdge,
    name: string,
    observation: EdgeObservation,
    attempts: Attempts,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, recorder, settings, clock } = this.#deps;
    const pod = buildPod(edge, name, settings);
    const created = await this.#pods.create(key, refOf(pod), () =>
      client.create(pods, pod, { fieldManager: FIELD_MANAGER, signal }),
    );
    recorder.event(edge, { type: 'Normal', reason: EVENT.created, message: `Created node ${refOf(created).name}` });
    const facts = { templateHash: templateHash(edge, settings), isDeleting: observation.isDeleting(created) };
    const node = desiredMediaNode(edge, observeInstance(created, undefined, facts), undefined, clock.wall());
    await attempts.try(`MediaNode ${edge.metadata.name}-*`, () => this.#applyNode(key, node, signal));
  }

  async #applyNode(key: string, node: MediaNode, signal: AbortSignal): Promise<void> {
    const cached = this.#nodes.view(
      key,
      [this.#deps.nodes.store.get(objectKey(node))].filter((one) => one !== undefined),
    );
    const known = cached.objects[0];
    await this.#nodes.update(key, async () => (await this.#applier.apply(mediaNodes, node, known, { signal })).object);
  }

  /** The caches of pods and MediaNodes are independent, so this reads the pod from the API before it deletes the pod's MediaNode. */
  async #deleteNode(key: string, node: MediaNode, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const { namespace = '', uid = '' } = node.metadata;
    const pod = await client.find(pods, { namespace, name: node.spec.pod.name }, { signal });
    if (pod?.metadata?.uid === node.spec.pod.uid) return;
    const remove = (): Promise<void> => client.delete(mediaNodes, refOf(node), { preconditions: { uid }, signal });
    await this.#nodes.delete(key, node, remove);
  }

  async #writeStatus(edge: MediaEdge, plan: EdgePlan, signal: AbortSignal): Promise<void> {
    for (const event of plan.statusEvents) this.#deps.recorder.event(edge, event);
    const { name, namespace = '' } = edge.metadata;
    const apply = async (status: EdgePlan['status']): Promise<MediaEdge> => {
      const desired = { metadata: { name, namespace }, status } as MediaEdge;
      return (await this.#applier.apply(mediaEdges, desired, edge, { subresource: 'status', signal })).object;
    };
    await this.#edges.update(objectKey(edge), () => applyStatus(plan.status, this.#deps.clock.wall(), apply));
  }

  /** Creates no node without the finalizer: a deletion of the edge would then remove its nodes without a drain. Reports a rejection at once. */
  async #hold(key: string, edge: MediaEdge, signal: AbortSignal): Promise<MediaEdge> {
    try {
      return await this.#setFinalizers(edge, [...(edge.metadata.finalizers ?? []), FINALIZER], signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const refusals = [{ what: `finalizer ${FINALIZER}`, why: whyRefused(error) }];
      await this.#writeStatus(edge, planEdge({ ...(await this.#observe(key, edge, signal)), refusals }), signal);
      throw error;
    }
  }

  /** Patches only the version that was observed, so that a finalizer added meanwhile is not lost. */
  async #setFinalizers(edge: MediaEdge, finalizers: string[], signal: AbortSignal): Promise<MediaEdge> {
    const { resourceVersion } = edge.metadata;
    const patch = { type: 'merge', patch: { metadata: { resourceVersion, finalizers } } } as const;
    return this.#edges.update(objectKey(edge), () =>
      this.#deps.client.patch(mediaEdges, refOf(edge), patch, { fieldManager: FIELD_MANAGER, signal }),
    );
  }

  #isMeshMissing(edge: MediaEdge): boolean {
    const { meshRef } = edge.spec;
    return meshRef !== undefined && !this.#deps.meshes.store.get(`${edge.metadata.namespace}/${meshRef.name}`);
  }

  /** Reads the Secret instead of watching it: a watch would load every Secret of the cluster into this process. */
  async #findTlsSecret(edge: MediaEdge, signal: AbortSignal): Promise<TlsSecret> {
    const name = edge.spec.network.tlsSecretRef?.name;
    const { namespace = '' } = edge.metadata;
    if (!name) return { state: 'found' };
    const key = tlsSecretKey(edge);
    const nowMs = this.#deps.clock.now();
    const known = this.#secrets.get(key);
    if (known && nowMs - known.checkedMs < SECRET_RECHECK_MS) return known.secret;
    const secret = await this.#readTlsSecret({ namespace, name }, signal);
    this.#secrets.set(key, { secret, checkedMs: nowMs });
    return secret;
  }

  async #readTlsSecret(ref: { namespace: string; name: string }, signal: AbortSignal): Promise<TlsSecret> {
    try {
      const found = await this.#deps.client.find(secrets, ref, { signal });
      if (!found) return { state: 'missing' };
      const { type = 'Opaque' } = found;
      return type === 'kubernetes.io/tls' ? { state: 'found' } : { state: 'otherType', type };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { state: 'unreadable', why: whyRefused(error) };
    }
  }

  #suffix(): string {
    const letter = (): string => SUFFIX_ALPHABET[Math.floor(this.#deps.random() * SUFFIX_ALPHABET.length)] ?? 'x';
    return Array.from({ length: SUFFIX_LENGTH }, letter).join('');
  }
}

function tlsSecretKey({ metadata, spec }: MediaEdge): string {
  return `${metadata.namespace ?? ''}/${spec.network.tlsSecretRef?.name ?? ''}`;
}

function cordonedHosts({ hosts }: MediaEdgeDependencies): Set<string> {
  const cordoned = hosts?.store.list().filter((host) => host.spec?.unschedulable) ?? [];
  return new Set(cordoned.map((host) => refOf(host).name));
}

function smallest(...values: (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}
