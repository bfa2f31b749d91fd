import { mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { CrdManifest } from '@millrace/api/validation';
import type { HttpLimits, Logger } from '@millrace/service';
import { createLogger } from '@millrace/service';
import { stringify } from 'yaml';
import { applyObject } from './apply/apply.ts';
import { StaticTokens } from './auth/authenticator.ts';
import type { StaticUser } from './auth/authenticator.ts';
import { loadOrCreateCertificates } from './auth/certificates.ts';
import type { TlsFiles } from './auth/certificates.ts';
import { ServiceAccountTokens, issuer } from './auth/service-accounts.ts';
import { builtinTypes, crdType } from './builtin/types.ts';
import type { ApiContext } from './context.ts';
import { OpenWatches } from './context.ts';
import { startControllers } from './controllers/index.ts';
import { Retries } from './controllers/retries.ts';
import { CrdController, crdErrors } from './crds/crd-controller.ts';
import type { Identity } from './http/request.ts';
import { bindPod, evictPod, serveLog, serveScale } from './http/subresources.ts';
import { reviewAccess, reviewSelf } from './http/self-review.ts';
import { requestToken, reviewToken } from './http/token-review.ts';
import { strategicMerge } from './patch/strategic-merge.ts';
import { Registry } from './registry.ts';
import { createApiServer } from './server.ts';
import { unknownPath } from './status.ts';
import type { HistoryLimits } from './storage/history.ts';
import { Store } from './storage/store.ts';
import { Writer } from './write/writer.ts';

export interface ApiServerOptions {
  /** Folder for objects, the signing key and the certificate; created when missing. */
  dataDir: string;
  host?: string;
  /** 0 (default) picks a free port. */
  port?: number;
  /** CRDs to create or update before the first request is answered. */
  crds?: readonly CrdManifest[];
  /** Bearer tokens and their users. */
  tokens: Record<string, StaticUser>;
  /** A certificate to use instead of the generated one. */
  tls?: TlsFiles;
  logger?: Logger;
  /** Bounds of the history for watches that resume; older resourceVersions are 410. */
  history?: Partial<HistoryLimits>;
  wall?: () => number;
  /** Limits of connections and requests that differ from HTTP_LIMITS. */
  limits?: Partial<HttpLimits>;
}
export interface ApiServer {
  url: string;
  port: number;
  /** PEM of the certificate authority to trust. */
  ca: string;
  /** A kubeconfig (YAML) for one of the users named in `tokens`. */
  kubeconfig(user: string): string;
  close(): Promise<void>;
}

/** Starts the API server; resolves when it serves requests. Throws when the data directory or the port is in use, and then leaves nothing open. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const store = new Store(join(options.dataDir, 'objects.sqlite'), { history: options.history, wall: options.wall });
  const stops: (() => unknown)[] = [() => store.close()];
  const close = async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  try {
    return { ...(await startOn(store, options, stops)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startOn(store: Store, options: ApiServerOptions, stops: (() => unknown)[]): Promise<Omit<ApiServer, 'close'>> {
  const { dataDir, host = '127.0.0.1', wall = Date.now } = options;
  const logger = options.logger ?? createLogger({ service: 'apiserver' });
  const registry = new Registry();
  for (const type of builtinTypes) registry.add(type);
  const retries = new Retries(logger);
  stops.push(() => retries.stop());
  const crdController = new CrdController(store, registry, wall, retries);
  store.subscribe((event) => crdController.observe(event));
  const writer = new Writer({ store, registry, wall }, crdErrors);
  stops.push(await startControllers({ store, registry, writer, wall, logger, retries }));
  await installCrds(writer, options.crds ?? []);

  const statics = new StaticTokens(options.tokens);
  const tokens = await ServiceAccountTokens.open(dataDir, store, wall);
  const context = createContext(store, registry, writer, wall, tokens, statics);
  const identify = async (token: string): Promise<Identity | undefined> =>
    statics.identify(token) ??
    tokens.review(token, [issuer]).then(
      ({ user }) => user,
      () => undefined,
    );
  const tls =
    options.tls ?? (await loadOrCreateCertificates(dataDir, [...new Set(['127.0.0.1', '::1', 'localhost', host])], wall()));
  const server = createApiServer({ context, tls, identify, logger, ...(options.limits ? { limits: options.limits } : {}) });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  stops.push(async () => {
    context.watches.stopAll();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), 1000).unref();
    await closed;
  });
  const { port } = server.address() as AddressInfo;
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { url, port, ca: tls.ca, kubeconfig: (user) => kubeconfig(url, tls.ca, user, options.tokens) };
}

function createContext(
  store: Store,
  registry: Registry,
  writer: Writer,
  wall: () => number,
  tokens: ServiceAccountTokens,
  statics: StaticTokens,
): ApiContext {
  const context: ApiContext = {
    store,
    registry,
    writer,
    wall,
    watches: new OpenWatches(),
    apply: (target, body, applyOptions) => applyObject(writer, target, body, applyOptions),
    strategicMerge,
    virtual: (type, call) => {
      if (type.kind === 'SelfSubjectAccessReview') return reviewAccess(call);
      return type.kind === 'SelfSubjectReview' ? reviewSelf(call) : reviewToken(tokens, statics, call);
    },
    subresource: async (target, call) => {
      switch (target.subresource) {
        case 'scale':
          return serveScale(context, target, call);
        case 'binding':
          return bindPod(context, target, call);
        case 'eviction':
          return evictPod(context, target, call);
        case 'log':
          return serveLog(context, target, call);
        case 'token':
          return requestToken(tokens, writer, target, call);
        default:
          throw unknownPath();
      }
    },
  };
  return context;
}

async function installCrds(writer: Writer, crds: readonly CrdManifest[]): Promise<void> {
  const options = { fieldManager: 'millrace-standalone', dryRun: false, fieldValidation: 'Strict' as const };
  for (const crd of crds) {
    const target = { type: crdType, namespace: '', name: crd.metadata?.name ?? '' };
    const old = writer.latest(target);
    if (!old) await writer.create(target, crd, options);
    else
      await writer.update(
        target,
        {
          ...crd,
          metadata: { ...crd.metadata, resourceVersion: old.metadata.resourceVersion, finalizers: old.metadata.finalizers },
        },
        options,
      );
  }
}

function kubeconfig(server: string, ca: string, user: string, tokens: Record<string, StaticUser>): string {
  const token = Object.entries(tokens).find(([, known]) => known.user === user)?.[0];
  if (!token)
    throw new Error(
      `no token for user ${user}: known users are ${Object.values(tokens)
        .map((known) => known.user)
        .join(', ')}`,
    );
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'millrace', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'millrace', context: { cluster: 'millrace', user, namespace: 'default' } }],
    'current-context': 'millrace',
  });
}
