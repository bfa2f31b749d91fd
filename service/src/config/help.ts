import type { z } from 'zod';
import { settingsOf } from './settings.ts';

/** The --help text: each setting with its flag, variable, description and default. */
export function configHelp(schema: z.ZodObject, envPrefix = 'MILLRACE_'): string {
  const entries = settingsOf(schema, envPrefix).map((setting) => {
    const name = setting.secret ? setting.env : `${setting.flag}, ${setting.env}`;
    const end = setting.required
      ? 'required'
      : setting.defaultValue === undefined
        ? ''
        : `default ${JSON.stringify(setting.defaultValue)}`;
    return `  ${name}\n      ${[setting.description, end].filter(Boolean).join('; ')}`;
  });
  const intro = `Settings: a flag goes before the environment, that before the file, that before the default.`;
  return `${intro}\n\n  --config, ${envPrefix}CONFIG\n      YAML file with the same names in camelCase\n${entries.join('\n')}`;
}
