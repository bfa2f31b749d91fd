import type { Pod } from '@millrace/kube';
import { rfc3339, type StoreEvent } from '@millrace/testkit/kube-api';
import type { Stored } from '@millrace/testkit/kube-api';
import { HOSTS, PODS } from '../paths.ts';
import type { Surroundings } from './surroundings.ts';
import { bootedNode, type TrueNode } from './true-node.ts';

const HOST_NAMES = ['host-1', 'host-2'];

/** Scheduler and kubelets: pods get a host, run, and end. */
export class Kubelets {
  readonly #around: Surroundings;
  readonly #onBoot: (node: TrueNode) => void;

  /** `onBoot`: the node's process runs. */
  constructor(around: Surroundings, onBoot: (node: TrueNode) => void) {
    this.#around = around;
    this.#onBoot = onBoot;
    this.uncordon();
    around.api.store.subscribe((event) => {
      if (event.where.collection === PODS) this.#onPod(event);
    });
  }

  uncordon(): void {
    for (const host of HOST_NAMES) this.#around.api.put(`${HOSTS}/${host}`, { kind: 'Node', apiVersion: 'v1', spec: {} });
  }

  /** The container ended; what it carried is gone with it. */
  fail(name: string): void {
    const pod = this.pod(name);
    if (!pod) return;
    this.#around.nodes.delete(pod.metadata?.uid ?? '');
    this.#tell(name, pod, { phase: 'Failed', reason: 'Evicted' });
  }

  tellReady({ name, uid }: TrueNode, isReady: boolean): void {
    const pod = this.pod(name);
    if (pod?.metadata?.uid === uid) this.#tell(name, pod, this.#running(isReady));
  }

  /** The API came back with an older state: what it does not know ends, what it knows runs, and it is told what is so. */
  reconcileAfterRestore(): void {
    const { api, nodes } = this.#around;
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
    return this.#around.api.objects.get(`${PODS}/${name}`) as Pod | undefined;
  }

  #onPod({ type, object }: StoreEvent): void {
    const { uid, name } = object.metadata;
    if (type === 'ADDED') this.#start(object);
    else if (type === 'DELETED') this.#around.nodes.delete(uid);
    else if (object.metadata.deletionTimestamp) this.#end(name, uid);
  }

  #start({ metadata: { name, uid, labels } }: Stored): void {
    const around = this.#around;
    const mine = (): Pod | undefined => {
      const pod = this.pod(name);
      return pod?.metadata?.uid === uid && !pod.metadata.deletionTimestamp && pod.status?.phase !== 'Failed' ? pod : undefined;
    };
    around.later(50, 500, () => {
      const pod = mine();
      if (pod && !around.nodes.has(uid)) this.#bind(name, pod, false);
    });
    around.later(600, 3_000, () => {
      const pod = mine();
      if (!pod || around.nodes.has(uid)) return;
      const node = bootedNode({ uid, name, edge: labels?.['millrace.dev/edge'] ?? '' });
      around.nodes.set(uid, node);
      this.#tell(name, pod, this.#running(true));
      around.later(100, 2_000, () => {
        if (around.isRunning(node)) this.#onBoot(node);
      });
    });
  }

  #bind(name: string, pod: Pod, isReady: boolean): void {
    const nodeName = pod.spec?.nodeName ?? this.#around.chance.pick(HOST_NAMES);
    this.#around.api.put(`${PODS}/${name}`, { ...pod, spec: { ...pod.spec, nodeName }, status: this.#running(isReady) });
  }

  /** A pod that was asked to go hands its sessions over and ends. */
  #end(name: string, uid: string): void {
    const { api, nodes } = this.#around;
    this.#around.later(200, 5_000, () => {
      nodes.delete(uid);
      if (this.pod(name)?.metadata?.uid === uid) api.store.remove(`${PODS}/${name}`);
    });
  }

  #running(isReady: boolean): object {
    const at = rfc3339(this.#around.clock.wall());
    return { phase: 'Running', conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime: at }] };
  }

  #tell(name: string, pod: Pod, status: object): void {
    this.#around.api.store.write(`${PODS}/${name}`, { ...pod, status }, 'status');
  }
}
