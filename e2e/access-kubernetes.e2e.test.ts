import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { CONTROL_TLS_SECRET, mediaEdges, mediaNodes, streamRoutes, type MediaNode } from '@millrace/api';
import { callers, type Caller, type Verdict } from '@millrace/api/operations';
import { startControl, type Control } from '@millrace/control';
import { startOperator, type OperatorHandle } from '@millrace/operator';
import { configMaps, createKubeClient, isTrue, loadKubeconfig, pods, type KubeClient, type Pod } from '@millrace/kube';
import { createLogger, loadConfig } from '@millrace/service';
import { ACCOUNTS, kubernetesRights, VERBS, type KubernetesRight, type Verb } from '@millrace/api/kubernetes-access';
import { SigningKeys } from '@millrace/control/tokens';
import { MediaNodeConfig, startMediaNode, type MediaNode as RunningNode } from '@millrace/media-node';
import { startKubeCluster, type KubeCluster } from './src/kube-cluster.ts';
import { accountToken, applyRoles, kubeconfigOf, RBAC_FOLDER } from './src/rbac.ts';
import { eventually } from './src/servers/network.ts';

const NAMESPACE = 'fleet';

/** A real kube-apiserver with RBAC and the roles of deploy/rbac, compared with the rows of the access table about the Kubernetes API. */
describe('the parts at the Kubernetes API', { timeout: 300_000 }, () => {
  let cluster: KubeCluster;
  before(async () => {
    cluster = await startKubeCluster();
    await cluster.kubectl('apply', '-f', new URL('../crds', import.meta.url).pathname);
    await cluster.kubectl('wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all');
    await cluster.kubectl('create', 'namespace', NAMESPACE);
    await applyRoles(cluster, NAMESPACE);
  });
  after(() => cluster?.stop());

  describe('which account may do what', () => {
    const rights = kubernetesRights(RBAC_FOLDER);
    /** Verbs and resources that no row of the table grants, among them the most dangerous ones. */
    const others: Omit<KubernetesRight, 'verbs' | 'accounts' | 'isClusterWide'>[] = [
      { group: '', resource: 'pods/exec' },
      { group: '', resource: 'configmaps', name: 'kube-root-ca.crt' },
      { group: '', resource: 'secrets', name: 'millrace-token-key' },
      { group: '', resource: 'serviceaccounts' },
      { group: '', resource: 'serviceaccounts/token' },
      { group: '', resource: 'namespaces' },
      { group: 'rbac.authorization.k8s.io', resource: 'roles' },
      { group: 'rbac.authorization.k8s.io', resource: 'clusterrolebindings' },
      { group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' },
      { group: 'millrace.dev', resource: 'mediaedges/scale' },
      { group: 'millrace.dev', resource: 'medianodes', name: 'in-another-namespace' },
    ];
    let shown: Record<Caller, string | undefined>;
    before(async () => {
      const keys = new SigningKeys();
      await keys.load(await SigningKeys.create());
      const media = async (act: 'push' | 'pull') =>
        (await keys.mint({ sub: 'anna', act, stream: 'live/a' }, 600, Date.now())).token;
      const nodeToken = (audience: string) =>
        cluster
          .kubectl('create', 'token', 'millrace-media-node', '-n', NAMESPACE, '--audience', audience)
          .then((text) => text.trim());
      shown = {
        nobody: undefined,
        session: undefined,
        wrongKey: 'a-key-that-nobody-has-made',
        appKey: 'app-key-of-the-tests',
        pushToken: await media('push'),
        pullToken: await media('pull'),
        otherStream: await media('pull'),
        expired: await media('push'),
        foreignToken: await media('push'),
        nodeToken: await nodeToken('millrace-control'),
        otherNode: await nodeToken('millrace-control'),
        meshKey: Buffer.alloc(32, 7).toString('base64'),
        foreignMesh: Buffer.alloc(32, 9).toString('base64'),
        operator: await accountToken(cluster, 'operator', NAMESPACE),
        control: await accountToken(cluster, 'control', NAMESPACE),
      };
    });

    /** The accounts that have a verb on this object, including by a row that names no object. */
    function holders(right: Omit<KubernetesRight, 'verbs' | 'accounts' | 'isClusterWide'>, verb: Verb): Set<string> {
      return new Set(
        rights.flatMap(({ group, resource, name, verbs, accounts }) => {
          const same = group === right.group && resource === right.resource && (name === undefined || name === right.name);
          return same && verbs.includes(verb) ? accounts : [];
        }),
      );
    }

    for (const right of [...rights, ...others]) {
      const named = right.name ? ` named ${right.name}` : '';
      test(`${right.resource}${right.group ? `.${right.group}` : ''}${named}`, async () => {
        const namespace = right.name === 'in-another-namespace' ? 'default' : NAMESPACE;
        for (const verb of VERBS) {
          const found: Partial<Record<Caller, Verdict>> = {};
          const wanted: Partial<Record<Caller, Verdict>> = {};
          const allowed = namespace === NAMESPACE ? holders(right, verb) : new Set<string>();
          await Promise.all(
            callers.map(async (caller) => {
              const status = await attempt(cluster, right, verb, namespace, shown[caller]);
              found[caller] = status === 401 || status === 403 ? status : 'yes';
              const isAccount = (ACCOUNTS as readonly string[]).includes(caller);
              wanted[caller] = isAccount ? (allowed.has(caller) ? 'yes' : 403) : shown[caller] === undefined ? 403 : 401;
            }),
          );
          // A request without credentials is system:anonymous to the API server, which has no rights: 403 instead of 401.
          assert.deepEqual(entries(found), entries(wanted), verb);
        }
      });
    }
  });

  describe('operator and control with exactly these rights', () => {
    let admin: KubeClient;
    let operator: OperatorHandle;
    let control: Control;
    let node: RunningNode;
    let folder: string;
    let log = '';

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'millrace-rights-'));
      admin = createKubeClient({ kubeconfig: loadKubeconfig({ file: cluster.kubeconfigPath }), qps: 1000, burst: 1000 });
      const sink = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          log += chunk.toString();
          done();
        },
      });
      const logger = createLogger({ service: 'test', level: 'debug' }, sink);
      const account = async (name: 'operator' | 'control') =>
        loadKubeconfig({ file: await kubeconfigOf(cluster, name, NAMESPACE) });
      const tls = { secret: CONTROL_TLS_SECRET };
      control = await startControl({ kubeconfig: await account('control'), namespace: NAMESPACE, port: 0, tls, logger });
      operator = await startOperator({
        kubeconfig: await account('operator'),
        namespace: NAMESPACE,
        leaseNamespace: NAMESPACE,
        controlUrl: control.agentUrl,
        mediaNodeImage: 'media-node:test',
        logger,
      });
    });
    after(async () => {
      await node?.close();
      await operator?.stop();
      await control?.stop(0);
      admin?.close();
      await rm(folder, { recursive: true, force: true });
    });

    const apply = (kind: string, name: string, spec: object): Promise<string> =>
      cluster.kubectlWithInput(
        JSON.stringify({ apiVersion: 'millrace.dev/v1alpha1', kind, metadata: { name, namespace: NAMESPACE }, spec }),
        'apply',
        '-f',
        '-',
      );

    test('control gets a certificate, and nodes what to verify it by, before there is an edge', async () => {
      assert.match(control.agentUrl, /^wss:/);
      const ca = await eventually('the authorities that nodes trust', async () => {
        const found = await admin.find(configMaps, { namespace: NAMESPACE, name: 'millrace-control-ca' });
        return found?.data?.['ca.crt'];
      });
      await writeFile(join(folder, 'ca.crt'), ca);
      await eventually('control is ready', async () => ((await get(`${control.url}/readyz`, ca)) === 200 ? true : undefined));
    });

    test('an edge, its pod, a mesh with its key, a route, and a node that proves its identity', async () => {
      await apply('RelayMesh', 'mesh', {});
      await apply('StreamRoute', 'live', { streams: ['live/*'] });
      await apply('MediaEdge', 'edge', { region: 'north', roles: ['push', 'pull', 'relay'], meshRef: { name: 'mesh' } });
      const pod = await eventually('the pod', async () => {
        const { items } = await admin.listAll(pods, { namespace: NAMESPACE, labelSelector: 'millrace.dev/edge=edge' });
        return items[0];
      });
      node = await runNode(pod);
      const ref = { namespace: NAMESPACE, name: pod.metadata!.name! };
      const seen = await eventually('control says that it is connected', async () => {
        const found: MediaNode | undefined = await admin.find(mediaNodes, ref);
        return isTrue(found?.status?.conditions, 'AgentConnected') && isTrue(found?.status?.conditions, 'Programmed')
          ? found
          : undefined;
      });
      assert.ok(seen.status?.endpoints?.signalingUrl);
      await eventually('the edge’s status', async () => {
        const { status } = await admin.get(mediaEdges, { namespace: NAMESPACE, name: 'edge' });
        return isTrue(status?.conditions, 'Accepted') && isTrue(status?.conditions, 'ResolvedRefs') ? true : undefined;
      });
      await eventually(
        'the route’s status',
        async () =>
          isTrue((await admin.get(streamRoutes, { namespace: NAMESPACE, name: 'live' })).status?.conditions, 'Accepted') ||
          undefined,
      );
    });

    test('the edge is deleted: drained, its pod deleted, its finalizer removed', async () => {
      await cluster.kubectl('delete', 'mediaedge', 'edge', '-n', NAMESPACE, '--timeout=60s');
    });

    test('the API server refused them nothing', () => {
      const refused = log.split('\n').filter((line) => /forbidden/i.test(line));
      assert.deepEqual(refused, []);
    });

    async function runNode(pod: Pod): Promise<RunningNode> {
      const { name = '', uid = '' } = pod.metadata ?? {};
      const bound = ['--bound-object-kind', 'Pod', '--bound-object-name', name, '--bound-object-uid', uid];
      const token = await cluster.kubectl(
        'create',
        'token',
        'millrace-media-node',
        '-n',
        NAMESPACE,
        '--audience',
        'millrace-control',
        ...bound,
      );
      await writeFile(join(folder, 'token'), token.trim(), { mode: 0o600 });
      // As the kubelet does.
      const status = JSON.stringify({ status: { hostIP: '127.0.0.1', hostIPs: [{ ip: '127.0.0.1' }] } });
      await cluster.kubectl('patch', 'pod', name, '-n', NAMESPACE, '--subresource=status', '--type=merge', '-p', status);
      const env = {
        MILLRACE_NODE_NAME: name,
        MILLRACE_POD_UID: uid,
        MILLRACE_REGION: 'north',
        MILLRACE_ROLES: 'push,pull,relay',
        MILLRACE_CONTROL_URL: control.agentUrl,
        MILLRACE_CONTROL_CA_FILE: join(folder, 'ca.crt'),
        MILLRACE_TOKEN_FILE: join(folder, 'token'),
        MILLRACE_STATE_DIR: folder,
        MILLRACE_HOST_IPS: '127.0.0.1',
        MILLRACE_MEDIA_PORT: '0',
        MILLRACE_TRUNK_PORT: '0',
        MILLRACE_SIGNALING_PORT: '0',
        MILLRACE_OPS_PORT: '0',
      };
      return startMediaNode(loadConfig(MediaNodeConfig, { env }), createLogger({ service: name, level: 'silent' }));
    }
  });
});

/** The status of an answer by HTTPS; undefined when the connection fails. */
function get(url: string, ca: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = https.get(url, { ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', () => resolve(undefined));
  });
}

const entries = (cells: Partial<Record<Caller, Verdict>>): [string, Verdict][] =>
  Object.entries(cells).sort(([a], [b]) => (a < b ? -1 : 1));

/** Sends one request of a verb that changes nothing: a dry run, or about an object that does not exist. Returns the status code. */
async function attempt(
  cluster: KubeCluster,
  { group, resource, name = 'nothing-of-this-name' }: Pick<KubernetesRight, 'group' | 'resource' | 'name'>,
  verb: Verb,
  namespace: string,
  token: string | undefined,
): Promise<number> {
  const config = parse(await readFile(cluster.kubeconfigPath, 'utf8')) as {
    clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
  };
  const { server, 'certificate-authority-data': ca } = config.clusters[0]!.cluster;
  const [plural = '', subresource] = resource.split('/');
  const isNamespaced = !['nodes', 'namespaces', 'tokenreviews', 'clusterrolebindings', 'customresourcedefinitions'].includes(
    plural,
  );
  const root = group === '' ? '/api/v1' : `/apis/${group}/${group === 'millrace.dev' ? 'v1alpha1' : 'v1'}`;
  const collection = `${root}${isNamespaced ? `/namespaces/${namespace}` : ''}/${plural}`;
  const object = `${collection}/${name}${subresource ? `/${subresource}` : ''}`;
  const isCreatedBelow = subresource !== undefined;
  const [method, path, type] = {
    get: ['GET', object],
    list: ['GET', isCreatedBelow ? object : collection],
    watch: ['GET', `${isCreatedBelow ? object : collection}?watch=1&timeoutSeconds=1`],
    create: ['POST', `${isCreatedBelow ? object : collection}?dryRun=All`, 'application/json'],
    update: ['PUT', `${object}?dryRun=All`, 'application/json'],
    patch: ['PATCH', `${object}?dryRun=All`, 'application/merge-patch+json'],
    delete: ['DELETE', `${object}?dryRun=All`],
  }[verb] as [string, string, string?];
  return new Promise((resolve, reject) => {
    const request = https.request(
      server + path,
      {
        method,
        ca: Buffer.from(ca, 'base64'),
        agent: false,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(type === undefined ? {} : { 'content-type': type }),
        },
      },
      (response) => {
        resolve(response.statusCode!);
        response.destroy();
      },
    );
    request.on('error', reject);
    request.end(type === undefined ? undefined : '{}');
  });
}
