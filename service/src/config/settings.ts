import { z } from 'zod';

/** One leaf of a configuration schema with the names it goes by. */
export interface Setting {
  /** Path in the configuration object, e.g. ['kcp', 'intervalMs']. */
  path: readonly string[];
  /** e.g. --kcp-interval-ms */
  flag: string;
  /** e.g. MILLRACE_KCP_INTERVAL_MS */
  env: string;
  /** The schema without optional, default and the like. */
  type: z.core.$ZodType;
  description: string;
  /** undefined: no default. A setting without a default that is not optional is required. */
  defaultValue: unknown;
  required: boolean;
  /** Marked by `.meta({ secret: true })`: refused as a flag, because arguments are visible to every user of the machine. */
  secret: boolean;
}

/** The leaves of a schema; nested objects become prefixes of their members' names. */
export function settingsOf(schema: z.ZodObject, envPrefix: string, parents: readonly string[] = []): Setting[] {
  return Object.entries(schema.shape as Record<string, z.core.$ZodType>).flatMap(([name, field]) => {
    const path = [...parents, name];
    const type = bare(field);
    if (type instanceof z.ZodObject) return settingsOf(type, envPrefix, path);
    const words = path.flatMap(wordsOf);
    const ifAbsent = z.safeParse(field, undefined);
    const meta = z.globalRegistry.get(field) ?? z.globalRegistry.get(type);
    return {
      path,
      flag: `--${words.join('-')}`,
      env: `${envPrefix}${words.join('_').toUpperCase()}`,
      type,
      description: meta?.description ?? '',
      defaultValue: ifAbsent.success ? ifAbsent.data : undefined,
      required: !ifAbsent.success,
      secret: meta?.['secret'] === true,
    };
  });
}

/** Without optional, default, nullable, readonly, catch and transforms. */
function bare(field: z.core.$ZodType): z.core.$ZodType {
  let type = field;
  for (;;) {
    if (type instanceof z.ZodPipe) type = type.in;
    else if (type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodPrefault)
      type = type.def.innerType;
    else if (type instanceof z.ZodNullable || type instanceof z.ZodReadonly || type instanceof z.ZodCatch)
      type = type.def.innerType;
    else return type;
  }
}

/** announcedIPv4 -> announced, ipv4; kcpMTU -> kcp, mtu. */
function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z\d])([A-Z])/g, '$1-$2')
    .replace(/(?<=[A-Z]{2})([A-Z][a-z]{2,})/g, '-$1')
    .toLowerCase()
    .split('-');
}

/** Text of a flag or variable as a value of the setting's type; text that does not fit stays text, for the schema to refuse. */
export function fromText(type: z.core.$ZodType, text: string): unknown {
  if (type instanceof z.ZodString || type instanceof z.ZodEnum) return text;
  if (type instanceof z.ZodNumber) return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
  if (type instanceof z.ZodBoolean)
    return { true: true, '1': true, yes: true, false: false, '0': false, no: false }[text.toLowerCase()] ?? text;
  if (/^\s*[[{]/.test(text)) return fromJson(text);
  if (type instanceof z.ZodArray)
    return text.trim() === '' ? [] : text.split(',').map((part) => fromText(bare(type.element), part.trim()));
  // A union or literal: the text itself where that is allowed, else the number or boolean it spells.
  return z.safeParse(type, text).success ? text : fromJson(text);
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
