/** The standalone Kubernetes API: the kinds and verbs that operator, control and kubectl use, stored in files. */
export { startApiServer } from './start.ts';
export type { ApiServer, ApiServerOptions } from './start.ts';
export { agentSocketAnnotation } from './http/subresources.ts';
