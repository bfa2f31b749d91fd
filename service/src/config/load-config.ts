import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { ConfigError, HelpRequested } from './config-error.ts';
import { configHelp } from './help.ts';
import { fromText, settingsOf, type Setting } from './settings.ts';

export interface ConfigSource {
  /** Arguments after the program's name. */
  argv?: string[];
  env?: NodeJS.ProcessEnv;
  /** Default `MILLRACE_`. */
  envPrefix?: string;
  /** YAML file to read where neither --config nor <prefix>CONFIG names one. */
  file?: string;
}

type Tree = { [name: string]: unknown };

/**
 * Reads a configuration: flag, else environment, else YAML file, else the schema's default.
 * Nested objects are groups: their members' names get the group's as a prefix; give a group `.prefault({})` where all its members have defaults.
 * @throws ConfigError with every error found at once; HelpRequested for --help.
 */
export function loadConfig<S extends z.ZodObject>(schema: S, source: ConfigSource): z.infer<S> {
  const envPrefix = source.envPrefix ?? 'MILLRACE_';
  const env = source.env ?? {};
  const settings = settingsOf(schema, envPrefix);
  const errors: string[] = [];
  const flags = readFlags(source.argv ?? [], settings, errors);
  if (flags.has('--help')) throw new HelpRequested(configHelp(schema, envPrefix));

  const file = flags.get('--config') ?? env[`${envPrefix}CONFIG`] ?? source.file;
  const tree = file === undefined ? {} : readFile(file, settings, errors);
  const origins = new Map<string, string>();
  for (const setting of settings) {
    const fromFlag = flags.get(setting.flag);
    const text = fromFlag ?? env[setting.env];
    if (text === undefined) continue;
    put(tree, setting.path, fromText(setting.type, text));
    origins.set(setting.path.join('.'), fromFlag === undefined ? setting.env : setting.flag);
  }

  const result = schema.safeParse(tree);
  if (!result.success) {
    for (const issue of result.error.issues) errors.push(describe(issue, settings, origins, file));
  }
  if (errors.length > 0 || !result.success) throw new ConfigError(errors);
  return result.data;
}

/** --name value, --name=value, --switch, --no-switch. */
function readFlags(argv: readonly string[], settings: readonly Setting[], errors: string[]): Map<string, string> {
  const flags = new Map<string, string>();
  const byFlag = new Map(settings.map((setting) => [setting.flag, setting]));
  for (let i = 0; i < argv.length; i++) {
    const [name = '', inline] = splitOnce(argv[i] ?? '', '=');
    const setting = byFlag.get(name) ?? byFlag.get(name.replace(/^--no-/, '--'));
    const isSwitch = setting?.type instanceof z.ZodBoolean;
    if (name === '--help' || name === '-h') flags.set('--help', '');
    else if (name !== '--config' && !setting) {
      errors.push(unknownArgument(name, [...byFlag.keys()]));
      // What follows is most likely its value, not a second error.
      if (inline === undefined && name.startsWith('--') && !(argv[i + 1] ?? '--').startsWith('--')) i++;
    } else if (setting?.secret)
      errors.push(`${name}: a secret must not be an argument (others can see it); set ${setting.env} or put it into the file`);
    else if (isSwitch && name !== setting.flag) flags.set(setting.flag, 'false');
    else if (isSwitch && inline === undefined && !/^(true|false)$/.test(argv[i + 1] ?? '')) flags.set(name, 'true');
    else {
      const value = inline ?? argv[++i];
      if (value === undefined) errors.push(`${name}: a value must follow`);
      else flags.set(name, value);
    }
  }
  return flags;
}

function unknownArgument(name: string, known: readonly string[]): string {
  const letters = name.replaceAll('-', '');
  const near = known.find((flag) => flag.replaceAll('-', '') === letters || (letters.length > 3 && flag.includes(name)));
  return `${name}: unknown argument${near ? `; did you mean ${near}?` : ''}`;
}

function readFile(path: string, settings: readonly Setting[], errors: string[]): Tree {
  let tree: unknown;
  try {
    tree = parseYaml(readFileSync(path, 'utf8')) ?? {};
  } catch (error) {
    errors.push(`${path}: ${(error as Error).message.split('\n')[0]}`);
    return {};
  }
  if (!isTree(tree)) {
    errors.push(`${path}: must be a mapping of settings`);
    return {};
  }
  refuseUnknown(tree, [], settings, path, errors);
  return tree;
}

/** A misspelt name in the file must not be ignored silently. */
function refuseUnknown(tree: Tree, parents: string[], settings: readonly Setting[], file: string, errors: string[]): void {
  for (const [name, value] of Object.entries(tree)) {
    const path = [...parents, name];
    const inside = settings.filter((setting) => path.every((part, i) => setting.path[i] === part));
    const isGroup = inside.some((setting) => setting.path.length > path.length);
    if (inside.length === 0) errors.push(`${path.join('.')} in ${file}: unknown setting`);
    else if (isGroup && isTree(value)) refuseUnknown(value, path, settings, file, errors);
  }
}

function put(tree: Tree, path: readonly string[], value: unknown): void {
  let at = tree;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    at = isTree(next) ? next : (at[name] = {});
  }
  at[path.at(-1) ?? ''] = value;
}

function describe(issue: z.core.$ZodIssue, settings: readonly Setting[], origins: Map<string, string>, file?: string): string {
  const path = issue.path.map(String);
  const setting = settings.find((candidate) => candidate.path.every((part, i) => path[i] === part));
  const name = setting?.path.join('.') ?? path.join('.');
  const origin = origins.get(name);
  if (origin) return `${origin}: ${issue.message}`;
  if (setting?.required && issue.code === 'invalid_type' && /received undefined/.test(issue.message)) {
    return setting.secret
      ? `${name}: required; set ${setting.env}`
      : `${name}: required; give ${setting.flag} or set ${setting.env}`;
  }
  return `${path.join('.')}${file ? ` in ${file}` : ''}: ${issue.message}`;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
