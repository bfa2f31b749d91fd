/** Translates Kubernetes resources to control's own types. While the API is unreachable, the last state stays. */
export { Cluster } from './cluster.ts';
export { NamedSecret } from './named-secret.ts';
