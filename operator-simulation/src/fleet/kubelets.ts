import type { Pod } from '@millrace/kube';
import { rfc3339, type StoreEvent } from '@millrace/testkit/kube-api';
import type { Stored } from '@millrace/testkit/kube-api';
import { HOSTS, PODS } from '../paths.ts';
import type { Environment } from './environment.ts';
import { newNode, type SimulatedNode } from './simulated-node.ts';

const HOST_NAMES = ['host-1', 'host-2'];

/** Simulates the scheduler and the kubelets, which bind, run and terminate pods. */
export class Kubelets {
  readonly #environment: Environment;
  readonly #onBoot: (node: SimulatedNode) => void;

  /** `onBoot` is called when the process of a node has started. */
  constructor(environment: Environment, onBoot: (node: SimulatedNode) => void) {
    this.#environment = environment;
    this.#onBoot = onBoot;
    this.uncordon();
    environment.api.store.subscribe((event) => {
      if (event.where.collection === PODS) this.#onPod(event);
    });
  }

  uncordon(): void {
    for (const host of HOST_NAMES) this.#environment.api.put(`${HOSTS}/${host}`, { kind: 'Node', apiVersion: 'v1', spec: {} });
  }

  /** The pod is evicted; its sessions are lost. */
  fail(name: string): void {
    const pod = this.pod(name);
    if (!pod) return;
    this.#environment.nodes.delete(pod.metadata?.uid ?? '');
    this.#writeStatus(name, pod, { phase: 'Failed', reason: 'Evicted' });
  }

  setReady({ name, uid }: SimulatedNode, isReady: boolean): void {
    const pod = this.pod(name);
    if (pod?.metadata?.uid === uid) this.#writeStatus(name, pod, this.#running(isReady));
  }

  /** The API was restored to an older state: the kubelets end pods that it does not contain, run those it does, and update their status. */
  reconcileAfterRestore(): void {
    const { api, nodes } = this.#environment;
    for (const node of [...nodes.values()]) if (this.pod(node.name)?.metadata?.uid !== node.uid) nodes.delete(node.uid);
    for (const [, stored] of api.store.list(PODS)) {
      const { uid, name, deletionTimestamp } = stored.metadata;
      const node = nodes.get(uid);
      if (deletionTimestamp) this.#end(name, uid);
      else if (!node) this.#start(stored);
      else this.#bind(name, stored as Pod, true);
    }
  }

  pod(name: string): Pod | undefined {
    return this.#environment.api.objects.get(`${PODS}/${name}`) as Pod | undefined;
  }

  #onPod({ type, object }: StoreEvent): void {
    const { uid, name } = object.metadata;
    if (type === 'ADDED') this.#start(object);
    else if (type === 'DELETED') this.#environment.nodes.delete(uid);
    else if (object.metadata.deletionTimestamp) this.#end(name, uid);
  }

  #start({ metadata: { name, uid, labels } }: Stored): void {
    const environment = this.#environment;
    const current = (): Pod | undefined => {
      const pod = this.pod(name);
      return pod?.metadata?.uid === uid && !pod.metadata.deletionTimestamp && pod.status?.phase !== 'Failed' ? pod : undefined;
    };
    environment.later(50, 500, () => {
      const pod = current();
      if (pod && !environment.nodes.has(uid)) this.#bind(name, pod, false);
    });
    environment.later(600, 3_000, () => {
      const pod = current();
      if (!pod || environment.nodes.has(uid)) return;
      const node = newNode({ uid, name, edge: labels?.['millrace.dev/edge'] ?? '' });
      environment.nodes.set(uid, node);
      this.#writeStatus(name, pod, this.#running(true));
      environment.later(100, 2_000, () => {
        if (environment.isRunning(node)) this.#onBoot(node);
      });
    });
  }

  #bind(name: string, pod: Pod, isReady: boolean): void {
    const nodeName = pod.spec?.nodeName ?? this.#environment.random.pick(HOST_NAMES);
    this.#environment.api.put(`${PODS}/${name}`, { ...pod, spec: { ...pod.spec, nodeName }, status: this.#running(isReady) });
  }

  /** A pod that is being deleted hands over its sessions and terminates. */
  #end(name: string, uid: string): void {
    const { api, nodes } = this.#environment;
    this.#environment.later(200, 5_000, () => {
      nodes.delete(uid);
      if (this.pod(name)?.metadata?.uid === uid) api.store.remove(`${PODS}/${name}`);
    });
  }

  #running(isReady: boolean): object {
    const at = rfc3339(this.#environment.clock.wall());
    return { phase: 'Running', conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime: at }] };
  }

  #writeStatus(name: string, pod: Pod, status: object): void {
    this.#environment.api.store.write(`${PODS}/${name}`, { ...pod, status }, 'status');
  }
}
