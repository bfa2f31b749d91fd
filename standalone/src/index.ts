export { startApiServer } from './apiserver/index.ts';
export type { ApiServer, ApiServerOptions } from './apiserver/index.ts';
export { startPodAgent } from './agent/index.ts';
export type { PodAgent, PodAgentOptions } from './agent/index.ts';
