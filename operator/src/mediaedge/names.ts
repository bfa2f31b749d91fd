/** Names of the objects, labels and fields that the MediaEdge controller creates. */
export const FIELD_MANAGER = 'millrace-mediaedge';
export const FINALIZER = 'millrace.dev/drain';
export const LABEL = {
  edge: 'millrace.dev/edge',
  mesh: 'millrace.dev/mesh',
  region: 'millrace.dev/region',
  role: (role: string) => `millrace.dev/role-${role}`,
  /** Hash of the template that the pod was created from. */
  template: 'millrace.dev/template-hash',
  /** "true" while the node has, or may have, sessions. The PodDisruptionBudget protects pods with this label. */
  inUse: 'millrace.dev/in-use',
} as const;
export const CONTAINER = 'media-node';
export const SERVICE_ACCOUNT = 'millrace-media-node';
/** Audience of the token with which a node proves its pod's identity to control. */
export const TOKEN_AUDIENCE = 'millrace-control';
