import { KubeConfig } from '@kubernetes/client-node';

/**
 * Finds the way to the API: the given file, else what kubectl would take (KUBECONFIG, ~/.kube/config), else the pod's service account.
 * Throws when the file is unreadable or names no such context.
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

/** A kubeconfig for a server without credentials or with a bearer token: tests, standalone mode. */
export function kubeconfigFor(server: string, options: { token?: string; caData?: string } = {}): KubeConfig {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromClusterAndUser(
    { name: 'cluster', server, skipTLSVerify: false, ...(options.caData ? { caData: options.caData } : {}) },
    { name: 'user', ...(options.token ? { token: options.token } : {}) },
  );
  return kubeconfig;
}

/** The namespace of the current context: in a pod that of its service account; undefined when the kubeconfig names none. */
export function contextNamespace(kubeconfig: KubeConfig): string | undefined {
  return kubeconfig.getContextObject(kubeconfig.getCurrentContext())?.namespace?.trim();
}
