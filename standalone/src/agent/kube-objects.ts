import type { ConfigMap, KubeClient, KubeObject, Resource, Secret } from '@millrace/kube';
import { configMaps, isAlreadyExists, secrets } from '@millrace/kube';
import type { Pod } from './pod.ts';

interface TokenRequest extends KubeObject {
  spec: {
    audiences: string[];
    expirationSeconds: number;
    boundObjectRef: { kind: string; apiVersion: string; name: string; uid: string };
  };
  status?: { token: string; expirationTimestamp: string };
}
interface Binding extends KubeObject {
  target: { apiVersion: string; kind: string; name: string };
}
const serviceAccounts: Resource = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
};

/** Reads Secrets and ConfigMaps, and issues tokens, on behalf of a pod. */
export class PodObjects {
  readonly #client: KubeClient;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  async secret(namespace: string, name: string): Promise<Record<string, Buffer> | undefined> {
    const secret: Secret | undefined = await this.#client.find(secrets, { namespace, name });
    return secret && mapValues(secret.data ?? {}, (value) => Buffer.from(value, 'base64'));
  }

  async configMap(namespace: string, name: string): Promise<Record<string, Buffer> | undefined> {
    const map: ConfigMap | undefined = await this.#client.find(configMaps, { namespace, name });
    if (!map) return undefined;
    return {
      ...mapValues(map.data ?? {}, (value) => Buffer.from(value)),
      ...mapValues(map.binaryData ?? {}, (value) => Buffer.from(value, 'base64')),
    };
  }

  /** Issues a token of the pod's service account, bound to the pod, for one audience. Creates the account when it is missing. */
  async token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string> {
    const { name = '', namespace = 'default', uid = '' } = pod.metadata ?? {};
    const account = pod.spec?.serviceAccountName ?? 'default';
    await this.#ensureAccount(namespace, account);
    const resource: Resource<TokenRequest> = {
      ...serviceAccounts,
      plural: `serviceaccounts/${account}/token`,
      kind: 'TokenRequest',
    } as Resource<TokenRequest>;
    const request: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: { namespace },
      spec: {
        audiences: audience ? [audience] : [],
        expirationSeconds,
        boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name, uid },
      },
    };
    const answer = await this.#client.create(resource, request);
    if (!answer.status?.token) throw new Error(`no token for service account ${account}`);
    return answer.status.token;
  }

  async bind(pod: Pod, nodeName: string): Promise<void> {
    const { name = '', namespace = 'default' } = pod.metadata ?? {};
    const resource: Resource<Binding> = {
      group: '',
      version: 'v1',
      plural: `pods/${name}/binding`,
      kind: 'Binding',
      namespaced: true,
    };
    await this.#client.create(resource, {
      metadata: { name, namespace },
      target: { apiVersion: 'v1', kind: 'Node', name: nodeName },
    });
  }

  /** In a cluster the chart creates the account; here nothing else would. */
  async #ensureAccount(namespace: string, name: string): Promise<void> {
    if (await this.#client.find(serviceAccounts, { namespace, name })) return;
    try {
      await this.#client.create(serviceAccounts, { metadata: { namespace, name } });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
}

function mapValues<T, U>(object: Record<string, T>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
