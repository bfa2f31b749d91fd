/** The server for nodes and apps: agent gateway, stream directory, scheduler, policies, status. */
export {
  startControl,
  TOKEN_KEY_SECRET,
  APP_KEYS_SECRET,
  type Control,
  type ControlOptions,
  type ControlTls,
} from './control.ts';
export { MemoryDirectory, RedisDirectory, type StreamDirectory } from './directory/index.ts';
