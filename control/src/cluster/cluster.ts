import type { MediaNode, MeshSettings, RelayMesh, StreamRoute } from '@millrace/api';
import { mediaNodes, relayMeshes, streamRoutes } from '@millrace/api';
import { Informer, type KubeClient, type KubeObject, type Resource } from '@millrace/kube';
import type { Logger } from '@millrace/service';
import type { Fleet } from '../fleet/index.ts';
import type { LiveStreams } from '../streams/index.ts';
import { NamedSecret } from './named-secret.ts';
import { isTrunkKey, meshSettingsOf, nodeSpecOf, ruleOf, trunkKeySecretOf } from './observe.ts';

export interface ClusterOptions {
  client: KubeClient;
  namespace: string;
  fleet: Fleet;
  streams: LiveStreams;
  logger: Logger;
  onMeshChanged: (mesh: string) => void;
}

interface Mesh {
  resource: RelayMesh;
  secretName: string;
  secret: NamedSecret;
  data: Readonly<Record<string, string>> | undefined;
}

/** Watches MediaNodes, StreamRoutes, RelayMeshes and their key Secrets, and updates fleet, policies and mesh settings from them. */
export class Cluster {
  readonly nodes: Informer<MediaNode>;
  readonly routes: Informer<StreamRoute>;
  readonly #meshInformer: Informer<RelayMesh>;
  readonly #meshes = new Map<string, Mesh>();
  readonly #options: ClusterOptions;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { client, namespace, fleet, streams, logger } = options;
    const follow = <T extends KubeObject>(resource: Resource<T>): Informer<T> =>
      new Informer({ client, resource, selection: { namespace }, logger });
    this.nodes = follow(mediaNodes);
    this.routes = follow(streamRoutes);
    this.#meshInformer = follow(relayMeshes);
    this.nodes.subscribe((change) => {
      if (change.type === 'deleted') fleet.deleteSpec(change.object.metadata.name);
      else fleet.setSpec(nodeSpecOf(change.object));
    });
    this.routes.subscribe((change) => {
      if (change.type === 'deleted') streams.deleteRule(change.object.metadata.name);
      else if (change.type === 'added' || change.object.metadata.generation !== change.old.metadata.generation)
        streams.setRule(ruleOf(change.object));
    });
    this.#meshInformer.subscribe((change) => {
      if (change.type === 'deleted') this.#forgetMesh(change.object.metadata.name);
      else this.#setMesh(change.object);
    });
  }

  start(): void {
    const { signal } = this.#stop;
    this.#running = Promise.all([this.nodes, this.routes, this.#meshInformer].map((informer) => informer.run(signal)));
  }

  get hasSynced(): boolean {
    return this.nodes.hasSynced && this.routes.hasSynced && this.#meshInformer.hasSynced;
  }

  async whenSynced(): Promise<void> {
    const { signal } = this.#stop;
    await Promise.all([this.nodes, this.routes, this.#meshInformer].map((informer) => informer.whenSynced(signal)));
  }

  /** Undefined until both the mesh and its key exist. */
  meshOf(name: string): MeshSettings | undefined {
    const mesh = this.#meshes.get(name);
    return mesh?.data && meshSettingsOf(mesh.resource, mesh.data);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#running, ...[...this.#meshes.values()].map((mesh) => mesh.secret.stop())]);
  }

  #setMesh(resource: RelayMesh): void {
    const { name, generation } = resource.metadata;
    const secretName = trunkKeySecretOf(resource);
    const known = this.#meshes.get(name);
    if (known?.secretName === secretName) {
      const changed = known.resource.metadata.generation !== generation;
      known.resource = resource;
      if (changed) this.#options.onMeshChanged(name);
      return;
    }
    if (known) this.#forgetMesh(name);
    const { client, namespace, logger } = this.#options;
    const onData = (data: Readonly<Record<string, string>> | undefined): void => {
      const mesh = this.#meshes.get(name);
      // Nodes still use a deleted key: control keeps it until another one appears.
      if (mesh?.secretName !== secretName || data === undefined) return;
      if (!isTrunkKey(data['psk'])) {
        const keeps = mesh.data ? '; the last good one stays in use' : '';
        logger.error({ mesh: name, secret: secretName }, `the mesh's Secret holds no usable key under psk${keeps}`);
        if (mesh.data) return;
      }
      mesh.data = data;
      this.#options.onMeshChanged(name);
    };
    const secret = new NamedSecret({ client, namespace, name: secretName, logger, onData });
    this.#meshes.set(name, { resource, secretName, secret, data: undefined });
  }

  #forgetMesh(name: string): void {
    const mesh = this.#meshes.get(name);
    this.#meshes.delete(name);
    void mesh?.secret.stop();
    this.#options.onMeshChanged(name);
  }
}
