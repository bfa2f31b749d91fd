import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Account } from '@millrace/api/kubernetes-access';
import type { KubeCluster } from './kube-cluster.ts';

export const RBAC_FOLDER = new URL('../../deploy/rbac', import.meta.url).pathname;

/** Millrace's service accounts and roles, moved to a test's namespace. */
export async function applyRoles(cluster: Pick<KubeCluster, 'kubectlWithInput'>, namespace: string): Promise<void> {
  const manifests = readdirSync(RBAC_FOLDER).map((file) => readFileSync(join(RBAC_FOLDER, file), 'utf8'));
  const moved = manifests.join('\n---\n').replaceAll(/^(\s*)namespace: millrace$/gm, `$1namespace: ${namespace}`);
  await cluster.kubectlWithInput(moved, 'apply', '-f', '-');
}

interface Kubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority-data'?: string } }[];
  users: { user: Record<string, unknown> }[];
  contexts: { context: { namespace?: string } }[];
}

/** A token of a part's service account, like the one that its pod gets. */
export async function accountToken(cluster: Pick<KubeCluster, 'kubectl'>, account: Account, namespace: string): Promise<string> {
  return (await cluster.kubectl('create', 'token', `millrace-${account}`, '--namespace', namespace)).trim();
}

/** Writes a kubeconfig like the admin's for a part's service account. Returns its path. */
export async function kubeconfigOf(
  cluster: Pick<KubeCluster, 'kubectl' | 'kubeconfigPath'>,
  account: Account,
  namespace: string,
): Promise<string> {
  const config = parse(readFileSync(cluster.kubeconfigPath, 'utf8')) as Kubeconfig;
  for (const each of config.users) each.user = { token: await accountToken(cluster, account, namespace) };
  for (const { context } of config.contexts) context.namespace = namespace;
  const path = `${cluster.kubeconfigPath}.${account}`;
  writeFileSync(path, stringify(config), { mode: 0o600 });
  return path;
}
