import { setTimeout as delay } from 'node:timers/promises';
import type { MediaEdge } from '@millrace/api';
import { createKubeClient, loadKubeconfig, mediaEdges, pods, type KubeClient } from '@millrace/kube';
import { eventually, type TestNetwork } from '@millrace/testbed/network';

const NAMESPACE = 'default';
const PROPAGATION_MS = 1_000;

/** Performs kubectl operations over the Kubernetes API. */
export class Cluster {
  readonly #network: TestNetwork;
  readonly #client: KubeClient;

  constructor(network: TestNetwork) {
    this.#network = network;
    this.#client = createKubeClient({ kubeconfig: loadKubeconfig({ file: network.kubeconfig }) });
  }

  /** Adds a region with one node in all roles. Returns when the mesh has measured it. */
  async addRegion(region: string): Promise<void> {
    const spec: MediaEdge['spec'] = { ...(await this.#specOfAnother()), region, roles: ['push', 'pull', 'relay'], replicas: 1 };
    await this.#client.create(mediaEdges, { metadata: { name: region, namespace: NAMESPACE }, spec });
    await eventually(`the node in ${region} is connected, with routes to all regions`, 60_000, async () => {
      const { nodes, routes } = await this.#network.topology();
      const connected = nodes.some((node) => node.region === region && node.connected);
      const others = new Set(nodes.map((node) => node.region).filter((other) => other !== region));
      const reached = routes.filter(({ from, to }) => from === region && others.has(to)).length;
      return connected && reached > 0 ? true : undefined;
    });
    await delay(PROPAGATION_MS);
  }

  /** Removes a region and waits until its node is gone. */
  async removeRegion(region: string): Promise<void> {
    await this.#client.delete(mediaEdges, { name: region, namespace: NAMESPACE });
    await eventually(`the node in ${region} is gone`, 60_000, async () =>
      (await this.#network.topology()).nodes.some((node) => node.region === region && node.connected) ? undefined : true,
    );
  }

  /** Like `kubectl delete pod`. */
  async deletePod(name: string): Promise<void> {
    await this.#client.delete(pods, { name, namespace: NAMESPACE });
  }

  /** Like `kubectl scale mediaedge`. */
  async scale(edge: string, replicas: number): Promise<void> {
    await this.#client.setScale(mediaEdges, { name: edge, namespace: NAMESPACE }, replicas);
  }

  /** Returns the edge of a node. @throws Error when the node is unknown */
  async edgeOf(node: string): Promise<string> {
    const known = (await this.#network.topology()).nodes.find((each) => each.node === node);
    if (!known) throw new Error(`${node} is not a node of the network`);
    return known.edge;
  }

  /** The pods of an edge, the oldest first; the operator removes the oldest relay first. */
  async podsOf(edge: string): Promise<string[]> {
    const { nodes } = await this.#network.topology();
    const names = new Set(nodes.filter((node) => node.edge === edge).map(({ node }) => node));
    const { items } = await this.#client.list(pods, { namespace: NAMESPACE });
    const born = (pod: (typeof items)[number]) => Date.parse(pod.metadata?.creationTimestamp ?? '') || 0;
    return items
      .filter((pod) => names.has(pod.metadata?.name ?? '') && !pod.metadata?.deletionTimestamp)
      .sort((a, b) => born(a) - born(b))
      .map((pod) => pod.metadata!.name!);
  }

  close(): void {
    this.#client.close();
  }

  /** The spec of an existing edge, for its ports and mesh. */
  async #specOfAnother(): Promise<MediaEdge['spec']> {
    const { items } = await this.#client.list(mediaEdges, { namespace: NAMESPACE });
    const known = items[0];
    if (!known) throw new Error('the network has no MediaEdge');
    return known.spec;
  }
}
