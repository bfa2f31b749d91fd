/** The web console: the network on a map, one stream played beside it. */
export { startConsole } from './server.ts';
export type { ConsoleOptions } from './server.ts';
