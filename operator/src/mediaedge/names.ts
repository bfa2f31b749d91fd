/** Names that the MediaEdge controller puts on what it makes. */
export const FIELD_MANAGER = 'millrace-mediaedge';
export const FINALIZER = 'millrace.dev/drain';
export const LABEL = {
  edge: 'millrace.dev/edge',
  mesh: 'millrace.dev/mesh',
  region: 'millrace.dev/region',
  role: (role: string) => `millrace.dev/role-${role}`,
  /** Which template the pod was made from. */
  template: 'millrace.dev/template-hash',
  /** "true" while the node has, or may have, sessions: what the PodDisruptionBudget protects. */
  inUse: 'millrace.dev/in-use',
} as const;
export const CONTAINER = 'media-node';
export const SERVICE_ACCOUNT = 'millrace-media-node';
/** Audience of the token by which a node proves to control which pod it is. */
export const TOKEN_AUDIENCE = 'millrace-control';
