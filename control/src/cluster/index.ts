/** What control reads from Kubernetes, turned into its own words. With the API away the last state stays. */
export { Cluster } from './cluster.ts';
export { NamedSecret } from './named-secret.ts';
