export { startApiServer } from './apiserver/index.ts';
export type { ApiServer, ApiServerOptions } from './apiserver/index.ts';
