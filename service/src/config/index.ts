// Configuration of a process: one schema, read from flags, environment and a YAML file.
export { loadConfig, type ConfigSource } from './load-config.ts';
export { configHelp } from './help.ts';
export { ConfigError, HelpRequested } from './config-error.ts';
