import { KubeConfig } from '@kubernetes/client-node';

/**
 * Loads the given file, else the files that kubectl uses (KUBECONFIG, ~/.kube/config), else the pod's service account. Throws when the
 * file is unreadable or does not contain the context.
 */
export function loadKubeconfig(options: { file?: string; context?: string } = {}): KubeConfig {
  const kubeconfig = new KubeConfig();
  if (options.file) kubeconfig.loadFromFile(options.file);
  else kubeconfig.loadFromDefault();
  if (options.context) kubeconfig.setCurrentContext(options.context);
  if (!kubeconfig.getCurrentCluster()) {
    const known = kubeconfig.getContexts().map((context) => context.name);
    throw new Error(
      `kubeconfig: context "${kubeconfig.getCurrentContext()}" names no cluster; known contexts: ${known.join(', ') || 'none'}`,
    );
  }
  return kubeconfig;
}

/** A kubeconfig for tests and standalone mode: a server address, with a bearer token or without credentials. */
export function kubeconfigFor(server: string, options: { token?: string; caData?: string } = {}): KubeConfig {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromClusterAndUser(
    { name: 'cluster', server, skipTLSVerify: false, ...(options.caData ? { caData: options.caData } : {}) },
    { name: 'user', ...(options.token ? { token: options.token } : {}) },
  );
  return kubeconfig;
}

/** The namespace of the current context (in a pod, that of its service account), or undefined when the kubeconfig sets none. */
export function contextNamespace(kubeconfig: KubeConfig): string | undefined {
  return kubeconfig.getContextObject(kubeconfig.getCurrentContext())?.namespace?.trim();
}
