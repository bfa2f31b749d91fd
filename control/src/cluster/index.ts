/** Translates Kubernetes resources to control's own types. While the API is unreachable, the last known state stays in use. */
export { Cluster } from './cluster.ts';
export { NamedSecret } from './named-secret.ts';
