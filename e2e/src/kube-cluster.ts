import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess, type SupervisedProcess } from './supervised-process.ts';

export interface KubeClusterOptions {
  /** Folder with etcd, kube-apiserver, kube-controller-manager and kubectl; default: MILLRACE_KUBERNETES_BIN, which `make e2e` sets. */
  binFolder?: string;
  /** Also run kube-controller-manager (garbage collection, namespace deletion, service accounts); default true. */
  controllerManager?: boolean;
  /** Further kube-apiserver flags, e.g. ['--min-request-timeout=5'] to cut watches early. */
  apiServerFlags?: string[];
  /** Maximum time until each program is ready, ms; default 60 s. */
  startTimeoutMs?: number;
}

export interface KubeCluster {
  url: string;
  /** Kubeconfig of an admin (group system:masters). */
  kubeconfigPath: string;
  /** Folder for data and logs, removed by stop(). */
  folder: string;
  /** Runs kubectl as admin and returns its stdout. Rejects with its stderr in the message. */
  kubectl: (...args: string[]) => Promise<string>;
  /** Runs kubectl with `input` on stdin, e.g. for `apply -f -`. */
  kubectlWithInput: (input: string, ...args: string[]) => Promise<string>;
  /** Runs kubectl and returns its outcome, whatever the exit status. */
  tryKubectl: (args: string[], options?: { input?: string; env?: NodeJS.ProcessEnv }) => Promise<KubectlEnd>;
  /** Kills kube-apiserver, as a crash would. */
  killApiServer: () => Promise<void>;
  /** Starts kube-apiserver again, at the same address with the same data. */
  startApiServer: () => Promise<void>;
  /** Compacts etcd and restarts kube-apiserver, so that the API knows only its current state. */
  forgetHistory: () => Promise<void>;
  /** Ends every program and removes the folder. */
  stop: () => Promise<void>;
}

interface KubectlEnd {
  /** Exit status; -1 when a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

/** A real Kubernetes API for tests: etcd, kube-apiserver (RBAC on) and kube-controller-manager on free loopback ports. */
export async function startKubeCluster(options: KubeClusterOptions = {}): Promise<KubeCluster> {
  const bin = options.binFolder ?? process.env['MILLRACE_KUBERNETES_BIN'];
  if (!bin)
    throw new Error('MILLRACE_KUBERNETES_BIN is not set; run the tests with `make e2e`, which builds Kubernetes and sets it');
  const startTimeoutMs = options.startTimeoutMs ?? 60_000;
  const folder = await mkdtemp(join(tmpdir(), 'millrace-kube-'));
  const [apiPort, etcdPort, etcdPeerPort] = await freePorts();
  const url = `https://127.0.0.1:${apiPort}`;
  const files = await writeIdentities(folder);
  const kubeconfigPath = join(folder, 'admin.kubeconfig');
  let apiServer: SupervisedProcess | undefined;
  const others: SupervisedProcess[] = [];

  const start = (program: string, args: string[]): Promise<SupervisedProcess> =>
    startProcess(join(bin, program), args, join(folder, `${program}.log`));

  const startApiServer = async (): Promise<void> => {
    const server = await start('kube-apiserver', [
      ...apiServerFlags(apiPort, etcdPort, files),
      ...(options.apiServerFlags ?? []),
    ]);
    apiServer = server;
    const get = async (path: string): Promise<boolean> => {
      const ca = await readFile(files.servingCertificate).catch(() => undefined);
      return ca !== undefined && (await answers(url + path, ca, files.adminToken));
    };
    await until(() => get('/readyz'), server, startTimeoutMs);
    await until(() => get('/api/v1/namespaces/default'), server, startTimeoutMs);
  };

  const stop = async (): Promise<void> => {
    await Promise.all(others.slice(1).map((other) => other.stop()));
    // A graceful stop would wait for open watches, which is not needed here.
    await apiServer?.kill();
    await others[0]?.kill();
    await rm(folder, { recursive: true, force: true });
  };

  try {
    others.push(await start('etcd', etcdFlags(join(folder, 'etcd'), etcdPort, etcdPeerPort)));
    await startApiServer();
    await writeFile(kubeconfigPath, await kubeconfig(url, files), { mode: 0o600 });
    const kubectls = kubectlOf(join(bin, 'kubectl'), kubeconfigPath, folder);
    if (options.controllerManager ?? true) {
      const manager = await start('kube-controller-manager', controllerManagerFlags(kubeconfigPath, files));
      others.push(manager);
      const hasServiceAccount = (): Promise<boolean> =>
        kubectls.kubectl('get', 'serviceaccount', 'default').then(Boolean, () => false);
      await until(hasServiceAccount, manager, startTimeoutMs);
    }
    const killApiServer = async (): Promise<void> => apiServer?.kill();
    const forgetHistory = async (): Promise<void> => {
      await killApiServer();
      await compactEtcd(etcdPort);
      await startApiServer();
    };
    return { url, kubeconfigPath, folder, ...kubectls, killApiServer, startApiServer, forgetHistory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Identities {
  /** Folder in which kube-apiserver creates its self-signed certificate. */
  certificateFolder: string;
  servingCertificate: string;
  tokenFile: string;
  adminToken: string;
  serviceAccountKey: string;
  serviceAccountPublicKey: string;
}

async function writeIdentities(folder: string): Promise<Identities> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificateFolder = join(folder, 'certificates');
  const identities: Identities = {
    certificateFolder,
    servingCertificate: join(certificateFolder, 'apiserver.crt'),
    tokenFile: join(folder, 'tokens.csv'),
    adminToken: randomBytes(24).toString('base64url'),
    serviceAccountKey: join(folder, 'service-account.key'),
    serviceAccountPublicKey: join(folder, 'service-account.pub'),
  };
  await writeFile(identities.tokenFile, `${identities.adminToken},admin,admin,system:masters\n`, { mode: 0o600 });
  await writeFile(identities.serviceAccountKey, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(identities.serviceAccountPublicKey, publicKey.export({ type: 'spki', format: 'pem' }));
  return identities;
}

function etcdFlags(dataFolder: string, clientPort: number, peerPort: number): string[] {
  const [client, peer] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
  return [
    `--data-dir=${dataFolder}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    // The data is deleted with the test, and syncing each write makes etcd slow on a small disk.
    '--unsafe-no-fsync',
  ];
}

function apiServerFlags(port: number, etcdPort: number, files: Identities): string[] {
  return [
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--cert-dir=${files.certificateFolder}`,
    `--token-auth-file=${files.tokenFile}`,
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    `--service-account-key-file=${files.serviceAccountPublicKey}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    // The `kubernetes` service must not point to a loopback address, and no test uses it.
    '--endpoint-reconciler-type=none',
  ];
}

function controllerManagerFlags(kubeconfigPath: string, files: Identities): string[] {
  return [
    `--kubeconfig=${kubeconfigPath}`,
    `--authentication-kubeconfig=${kubeconfigPath}`,
    `--authorization-kubeconfig=${kubeconfigPath}`,
    `--service-account-private-key-file=${files.serviceAccountKey}`,
    `--root-ca-file=${files.servingCertificate}`,
    '--leader-elect=false',
    '--secure-port=0',
  ];
}

async function kubeconfig(server: string, files: Identities): Promise<string> {
  const authority = (await readFile(files.servingCertificate)).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'e2e', cluster: { server, 'certificate-authority-data': authority } }],
    users: [{ name: 'admin', user: { token: files.adminToken } }],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'admin', namespace: 'default' } }],
    'current-context': 'e2e',
  });
}

export function kubectlOf(
  program: string,
  kubeconfigPath: string,
  home: string,
): Pick<KubeCluster, 'kubectl' | 'kubectlWithInput' | 'tryKubectl'> {
  // A separate HOME: kubectl caches discovery by host and port, and another test's server may have had this port.
  const env = { ...process.env, KUBECONFIG: kubeconfigPath, HOME: home };
  const tryKubectl: KubeCluster['tryKubectl'] = (args, options = {}) =>
    new Promise((resolve) => {
      const settings = { env: { ...env, ...options.env }, maxBuffer: 64 * 1024 * 1024 };
      const child = execFile(program, args, settings, (error, stdout, stderr) =>
        resolve({ code: error ? (typeof error.code === 'number' ? error.code : -1) : 0, stdout, stderr }),
      );
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(options.input ?? '');
    });
  const kubectlWithInput = async (input: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tryKubectl(args, { input });
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim() || `ended with ${code}`}`);
    return stdout;
  };
  return { tryKubectl, kubectlWithInput, kubectl: (...args) => kubectlWithInput('', ...args) };
}

function answers(url: string, ca: Buffer, token: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = https.get(
      url,
      { ca, headers: { authorization: `Bearer ${token}` }, agent: false, timeout: 5_000 },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

/** Calls etcd's JSON gateway ("gRPC gateway", etcd documentation). */
async function compactEtcd(port: number): Promise<void> {
  const call = async (path: string, body: object): Promise<{ header: { revision: string } }> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { header: { revision: string } };
  };
  const { header } = await call('/v3/kv/range', { key: Buffer.from('/').toString('base64') });
  await call('/v3/kv/compaction', { revision: header.revision, physical: true });
}

/** Waits until `ready`; rejects when the program ends or takes too long. */
async function until(ready: () => Promise<boolean>, program: SupervisedProcess, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    const ended = program.ended();
    if (ended) throw new Error(ended);
    if (performance.now() > deadline) throw new Error(`not ready after ${timeoutMs} ms (pid ${program.pid})`);
    await delay(100);
  }
}

async function freePorts(): Promise<[number, number, number]> {
  const servers = Array.from({ length: 3 }, () => createServer().listen(0, '127.0.0.1'));
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => server.once('listening', () => resolve((server.address() as AddressInfo).port))),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports as [number, number, number];
}
