import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT, exportJWK, generateKeyPair, importJWK, jwtVerify } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import type { KubeObject } from '../object.ts';
import type { Store } from '../storage/store.ts';

/** Who issues tokens, and the audience of the API itself, as in a cluster with default settings. */
export const issuer = 'https://kubernetes.default.svc.cluster.local';

export interface BoundPod {
  name: string;
  uid: string;
  nodeName?: string;
}
export interface TokenUser {
  username: string;
  uid: string;
  groups: string[];
  extra: Record<string, string[]>;
}
interface PrivateClaims {
  namespace: string;
  serviceaccount: { name: string; uid: string };
  pod?: { name: string; uid: string };
  node?: { name: string };
}

/** Issues and reviews service-account tokens: JWTs bound to a pod, invalid as soon as the pod or the account is gone. */
export class ServiceAccountTokens {
  readonly #store: Store;
  readonly #privateKey: CryptoKey;
  readonly #publicKey: CryptoKey;
  readonly #wall: () => number;

  private constructor(store: Store, privateKey: CryptoKey, publicKey: CryptoKey, wall: () => number) {
    this.#store = store;
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
    this.#wall = wall;
  }

  /** The signing key lives in the data directory, readable by its owner only. */
  static async open(dataDir: string, store: Store, wall: () => number): Promise<ServiceAccountTokens> {
    const file = join(dataDir, 'service-account-key.json');
    if (!existsSync(file)) {
      const made = await generateKeyPair('ES256', { extractable: true });
      const jwks = { private: await exportJWK(made.privateKey), public: await exportJWK(made.publicKey) };
      writeFileSync(`${file}.new`, JSON.stringify(jwks), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    }
    const jwks = JSON.parse(readFileSync(file, 'utf8')) as { private: JWK; public: JWK };
    const [privateKey, publicKey] = await Promise.all([importJWK(jwks.private, 'ES256'), importJWK(jwks.public, 'ES256')]);
    return new ServiceAccountTokens(store, privateKey as CryptoKey, publicKey as CryptoKey, wall);
  }

  /** Issues a token for the account that is valid for `seconds`. */
  async issue(account: KubeObject, audiences: string[], seconds: number, pod?: BoundPod): Promise<string> {
    const { namespace = '', name, uid } = account.metadata;
    const claims: PrivateClaims = {
      namespace,
      serviceaccount: { name, uid },
      ...(pod ? { pod: { name: pod.name, uid: pod.uid } } : {}),
      ...(pod?.nodeName ? { node: { name: pod.nodeName } } : {}),
    };
    const now = Math.floor(this.#wall() / 1000);
    return new SignJWT({ 'kubernetes.io': claims })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(issuer)
      .setSubject(`system:serviceaccount:${namespace}:${name}`)
      .setAudience(audiences)
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + seconds)
      .sign(this.#privateKey);
  }

  /** Returns the token's user and those of `audiences` for which it is valid. Throws an Error with the reason when it is not valid. */
  async review(token: string, audiences: string[]): Promise<{ user: TokenUser; audiences: string[] }> {
    const { payload } = await jwtVerify(token, this.#publicKey, {
      issuer,
      audience: audiences,
      algorithms: ['ES256'],
      currentDate: new Date(this.#wall()),
    });
    const claims = payload['kubernetes.io'] as PrivateClaims;
    const { namespace, serviceaccount, pod, node } = claims;
    const account = this.#store.get('/serviceaccounts', namespace, serviceaccount.name);
    if (account?.metadata.uid !== serviceaccount.uid) throw new Error('the service account of this token is gone');
    if (pod && this.#store.get('/pods', namespace, pod.name)?.metadata.uid !== pod.uid)
      throw new Error('the pod of this token is gone');
    const extra: Record<string, string[]> = {};
    if (pod) {
      extra['authentication.kubernetes.io/pod-name'] = [pod.name];
      extra['authentication.kubernetes.io/pod-uid'] = [pod.uid];
    }
    if (node) extra['authentication.kubernetes.io/node-name'] = [node.name];
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
    const held = typeof payload.aud === 'string' ? [payload.aud] : (payload.aud ?? []);
    const user = {
      username: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
      uid: serviceaccount.uid,
      groups,
      extra,
    };
    return { user, audiences: held.filter((audience) => audiences.includes(audience)) };
  }
}
