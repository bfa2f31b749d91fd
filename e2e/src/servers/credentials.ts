import { readFile } from 'node:fs/promises';
import type { Caller } from '@millrace/api/operations';
import { secrets, type KubeObject, type Resource } from '@millrace/kube';
import { SigningKeys } from '@millrace/control/tokens';
import { APP_KEY, NAMESPACE, type Servers } from './network.ts';

/** The stream that the cells of the access table refer to. */
export const STREAM = 'live/cell';

/** What each kind of caller can present: nothing, or one bearer secret. The kind of a media token may depend on the operation. */
export type Credentials = Readonly<Record<Caller, string | undefined>>;

/** Real credentials, and real ones of somebody else. `act`: the kind of media token that the operation requires. */
export async function credentialsOf(servers: Servers, act: 'push' | 'pull'): Promise<Credentials> {
  const own = await tokenKeyOf(servers);
  const foreign = new SigningKeys();
  await foreign.load(await SigningKeys.create());
  const now = Date.now();
  const mint = async (keys: SigningKeys, kind: 'push' | 'pull', stream: string, atMs = now): Promise<string> =>
    (await keys.mint({ sub: 'anna', act: kind, stream }, 600, atMs)).token;
  const node = await pod(servers, 'cell-node');
  const stranger = await pod(servers, 'cell-stranger');
  return {
    nobody: undefined,
    session: undefined,
    wrongKey: 'a-key-that-nobody-has-made',
    appKey: APP_KEY,
    pushToken: await mint(own, 'push', STREAM),
    pullToken: await mint(own, 'pull', STREAM),
    otherStream: await mint(own, act, 'live/other'),
    expired: await mint(own, act, STREAM, now - 3_600_000),
    foreignToken: await mint(foreign, act, STREAM),
    nodeToken: node,
    otherNode: stranger,
    meshKey: servers.trunkKey,
    foreignMesh: Buffer.alloc(32, 9).toString('base64'),
    operator: await accountToken(servers, 'millrace-operator'),
    control: await accountToken(servers, 'millrace-control'),
  };
}

/** Control's own signing keys. */
export async function tokenKeyOf(servers: Servers): Promise<SigningKeys> {
  const secret = await servers.network.client.get(secrets, { namespace: NAMESPACE, name: 'millrace-token-key' });
  const keys = new SigningKeys();
  await keys.load(secret.data as Record<string, string>);
  return keys;
}

const pods = new Map<string, ReturnType<Servers['network']['node']>>();

/** The projected token of a pod, created at the first call. */
async function pod(servers: Servers, name: string): Promise<string> {
  const made = await podOf(servers, name);
  return (await readFile(made.tokenFile, 'utf8')).trim();
}

export function podOf(servers: Servers, name: string): ReturnType<Servers['network']['node']> {
  const found = pods.get(name) ?? servers.network.node(name, { edge: 'edge', mesh: 'mesh', roles: ['pull'] });
  pods.set(name, found);
  return found;
}

/** A token of a service account for the Kubernetes API itself. */
async function accountToken({ network }: Servers, name: string): Promise<string> {
  const accounts: Resource = { group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true };
  await network.ensure(accounts, { metadata: { namespace: NAMESPACE, name } });
  const requests: Resource = { ...accounts, plural: `serviceaccounts/${name}/token`, kind: 'TokenRequest' };
  const request = { metadata: { namespace: NAMESPACE }, spec: { audiences: [], expirationSeconds: 3600 } } as KubeObject;
  const answer = (await network.client.create(requests, request)) as { status?: { token?: string } };
  return answer.status!.token!;
}
