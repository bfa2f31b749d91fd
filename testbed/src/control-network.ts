import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  mediaNodes,
  relayMeshes,
  streamRoutes,
  type MediaNode,
  type MediaNodeSpec,
  type RelayMesh,
  type PublishRequest,
  type Report,
  type StreamPolicy,
  type StreamRoute,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCE,
  TOKEN_ISSUER,
} from '@millrace/api';
import { crdDefinitions } from '@millrace/api/crds/definitions';
import {
  createKubeClient,
  loadKubeconfig,
  namespaces,
  pods,
  secrets,
  type KubeClient,
  type KubeObject,
  type Resource,
} from '@millrace/kube';
import { createLogger, createMetrics } from '@millrace/service';
// The tests run control against the other end of the channel and a real API server; control itself does not depend on them.
import { ControlChannel, type ChannelOptions } from '@millrace/media-node/channel';
import { startApiServer, type ApiServer } from '@millrace/standalone';
import { startControl, TOKEN_KEY_SECRET, type Control, type ControlOptions } from '@millrace/control';
import { importJWK, SignJWT, type CryptoKey, type JWK } from 'jose';

export const NAMESPACE = 'millrace';
export const APP_KEY = 'app-key-of-the-tests';
const serviceAccounts: Resource = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
};

const level = process.env['MILLRACE_TEST_LOG'] ?? 'silent';

/** An API server with Millrace's CRDs, and the objects that tests create on it: replicas of control, nodes with real tokens and channels. */
export class ControlNetwork {
  readonly folder: string;
  api!: ApiServer;
  client!: KubeClient;
  #kubeconfigFile: string;
  readonly #controls = new Set<Control>();
  readonly #channels = new Set<ControlChannel>();
  #apiPort = 0;
  #signer: Promise<{ key: CryptoKey; kid: string }> | undefined;

  private constructor(folder: string) {
    this.folder = folder;
    this.#kubeconfigFile = join(folder, 'kubeconfig');
  }

  static async start(): Promise<ControlNetwork> {
    const network = new ControlNetwork(await mkdtemp(join(tmpdir(), 'millrace-control-')));
    await network.startApi();
    const { client } = network;
    await client.create(namespaces, { metadata: { name: NAMESPACE } });
    await network.ensure(serviceAccounts, { metadata: { namespace: NAMESPACE, name: 'millrace-media-node' } });
    const data = { tests: Buffer.from(APP_KEY).toString('base64') };
    await client.create(secrets, { metadata: { namespace: NAMESPACE, name: 'millrace-app-keys' }, data });
    return network;
  }

  /** Starts the API; after stopApi, on the same port with the same objects. */
  async startApi(): Promise<void> {
    this.api = await startApiServer({
      dataDir: join(this.folder, 'api'),
      port: this.#apiPort,
      crds: crdDefinitions,
      tokens: { 'admin-token-of-the-tests': { user: 'admin', groups: ['system:masters'] } },
      logger: createLogger({ service: 'apiserver', level }),
    });
    this.#apiPort = this.api.port;
    await writeFile(this.#kubeconfigFile, this.api.kubeconfig('admin'));
    this.client ??= createKubeClient({ kubeconfig: loadKubeconfig({ file: this.#kubeconfigFile }) });
  }

  async stopApi(): Promise<void> {
    await this.api.close();
  }

  async ensure<T extends KubeObject>(resource: Resource<T>, object: T): Promise<void> {
    if (!(await this.client.find(resource, { namespace: object.metadata!.namespace!, name: object.metadata!.name! })))
      await this.client.create(resource, object);
  }

  async control(options: Partial<ControlOptions> = {}): Promise<Control> {
    const control = await startControl({
      kubeconfig: loadKubeconfig({ file: this.#kubeconfigFile }),
      namespace: NAMESPACE,
      port: 0,
      logger: createLogger({ service: 'control', level }),
      registry: createMetrics({ service: `control` }),
      ...options,
    });
    this.#controls.add(control);
    return control;
  }

  /** Creates a pod, its MediaNode, and a file with a token bound to the pod. */
  async node(name: string, spec: Partial<MediaNodeSpec> = {}): Promise<TestNode> {
    const metadata = { namespace: NAMESPACE, name };
    const containers = [{ name: 'media-node', image: 'millrace' }];
    const pod = await this.client.create(pods, { metadata, spec: { serviceAccountName: 'millrace-media-node', containers } });
    const uid = pod.metadata!.uid!;
    const whole: MediaNodeSpec = {
      edge: 'edge',
      region: 'north',
      provider: 'default',
      roles: ['push', 'pull'],
      pod: { name, uid },
      addresses: ['127.0.0.1'],
      cordoned: false,
      capacity: { sessions: 100, egressMbps: 1000 },
      ...spec,
    };
    await this.client.create(mediaNodes, { metadata, spec: whole });
    const folder = join(this.folder, `${name}-${randomUUID().slice(0, 8)}`);
    const node = new TestNode({ network: this, name, uid, spec: whole, folder });
    await node.renewToken();
    return node;
  }

  /** Requests a projected service-account token as a kubelet would. */
  async token(pod: { name: string; uid: string }, audience = 'millrace-control'): Promise<string> {
    const spec = { audiences: [audience], expirationSeconds: 3600, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod } };
    const request = { metadata: { namespace: NAMESPACE }, spec } as KubeObject;
    const answer = await this.client.create(tokenRequests, request);
    return (answer as { status?: { token?: string } }).status!.token!;
  }

  /** Publishes with a token for this stream. */
  async publish(
    channel: ControlChannel,
    request: Omit<PublishRequest, 'token'>,
  ): Promise<{ epoch: number; policy: StreamPolicy }> {
    return channel.publish({ token: await this.pushToken(request.stream), ...request });
  }

  /** A media token signed with control's key. */
  async pushToken(stream: string): Promise<string> {
    this.#signer ??= this.#readSigner();
    const { key, kid } = await this.#signer;
    return new SignJWT({ act: 'push', stream })
      .setProtectedHeader({ alg: TOKEN_ALGORITHM, kid })
      .setIssuer(TOKEN_ISSUER)
      .setAudience(TOKEN_AUDIENCE)
      .setSubject('anna')
      .setIssuedAt()
      .setExpirationTime('1h')
      .setJti(randomUUID())
      .sign(key);
  }

  async #readSigner(): Promise<{ key: CryptoKey; kid: string }> {
    const { data } = await this.client.get(secrets, { namespace: NAMESPACE, name: TOKEN_KEY_SECRET });
    const set = JSON.parse(Buffer.from(data!['keys.json']!, 'base64').toString()) as { keys: [JWK & { kid: string }] };
    return { key: (await importJWK(set.keys[0], TOKEN_ALGORITHM)) as CryptoKey, kid: set.keys[0].kid };
  }

  mesh(name: string, spec: object = {}): Promise<RelayMesh> {
    return this.client.create(relayMeshes, { metadata: { namespace: NAMESPACE, name }, spec } as RelayMesh);
  }

  route(name: string, spec: object): Promise<StreamRoute> {
    return this.client.create(streamRoutes, { metadata: { namespace: NAMESPACE, name }, spec } as StreamRoute);
  }

  mediaNode(name: string): Promise<MediaNode> {
    return this.client.get(mediaNodes, { namespace: NAMESPACE, name });
  }

  streamRoute(name: string): Promise<StreamRoute> {
    return this.client.get(streamRoutes, { namespace: NAMESPACE, name });
  }

  track(channel: ControlChannel): void {
    this.#channels.add(channel);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#channels].map((channel) => channel.stop()));
    await Promise.all([...this.#controls].map((control) => control.stop(0)));
    this.client.close();
    await this.api.close().catch(() => {});
    await rm(this.folder, { recursive: true, force: true });
  }
}

export class TestNode {
  readonly name: string;
  readonly uid: string;
  readonly spec: MediaNodeSpec;
  readonly folder: string;
  readonly #network: ControlNetwork;
  /** The report that its channel sends each time. */
  report: Report = {
    at: 0,
    load: { cpuPercent: 5, egressMbps: 0, ingressMbps: 0, sessions: 0, publishers: 0, viewers: 0, streams: 0 },
    links: [],
    streams: [],
  };

  constructor(options: { network: ControlNetwork; name: string; uid: string; spec: MediaNodeSpec; folder: string }) {
    this.#network = options.network;
    this.name = options.name;
    this.uid = options.uid;
    this.spec = options.spec;
    this.folder = options.folder;
  }

  /** How it says that it serves signalling. */
  scheme: 'http' | 'https' = 'http';

  get tokenFile(): string {
    return join(this.folder, 'token');
  }

  async renewToken(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await writeFile(this.tokenFile, await this.#network.token({ name: this.name, uid: this.uid }));
  }

  identity(): ReturnType<ChannelOptions['identity']> {
    const { roles, region, provider } = this.spec;
    const port = 40_000 + (createHash('sha256').update(this.name).digest().readUInt16BE() % 10_000);
    return {
      node: this.name,
      podUid: this.uid,
      build: 'test',
      roles,
      region,
      provider,
      endpoints: {
        signalingUrl: `${this.scheme}://127.0.0.1:${port}`,
        host: '127.0.0.1',
        trunkPort: port,
        mediaPorts: [],
        opsUrl: 'http://127.0.0.1:1',
      },
      nodeKey: createHash('sha256').update(this.uid).digest('base64'),
      kernel: { rmemMax: 212_992, wmemMax: 212_992 },
      cpus: '0-1',
    };
  }

  /** A channel of this node, as a new process of it would create. Not started. */
  channel(urls: readonly string[], options: Partial<ChannelOptions> = {}): ControlChannel {
    const channel = new ControlChannel({
      urls,
      tokenFile: this.tokenFile,
      stateDir: this.folder,
      identity: () => this.identity(),
      logger: createLogger({ service: this.name, level }),
      reportIntervalMs: 100,
      ...options,
    });
    channel.setReport(() => ({ ...this.report, at: Date.now() }));
    this.#network.track(channel);
    return channel;
  }

  /** A started channel that has received its snapshot. */
  async connect(urls: readonly string[], options: Partial<ChannelOptions> = {}): Promise<ControlChannel> {
    const channel = this.channel(urls, options);
    const heard = once(channel, 'settings');
    await channel.start();
    await heard;
    await eventually(() => channel.state === 'connected', 'the channel connects');
    return channel;
  }
}

const tokenRequests: Resource = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts/millrace-media-node/token',
  kind: 'TokenRequest',
  namespaced: true,
};

/** Polls until the condition holds, for 10 s at most. */
export async function eventually(condition: () => boolean | Promise<boolean>, what: string, withinMs = 10_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
