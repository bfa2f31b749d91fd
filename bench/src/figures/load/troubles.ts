import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const TROUBLE = new Set(['warn', 'error', 'fatal']);
const MAX_LINES = 20;

/** The warnings and errors in the network's logs, the most frequent first, such as `12 x media-node, warn: …`. */
export function troublesOf(folder: string): string[] {
  const counts = new Map<string, number>();
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !/\.log(\.1)?$/.test(entry.name)) continue;
    for (const line of readFileSync(join(entry.parentPath, entry.name), 'utf8').split('\n')) {
      const trouble = troubleOf(line);
      if (trouble) counts.set(trouble, (counts.get(trouble) ?? 0) + 1);
    }
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const rest = sorted.length - MAX_LINES;
  const lines = sorted.slice(0, MAX_LINES).map(([trouble, count]) => `${count} x ${trouble}`);
  return rest > 0 ? [...lines, `and ${rest} others`] : lines;
}

/** The warning or error of a log line; undefined for other levels. A line that is not JSON comes from a crashed process. */
export function troubleOf(line: string): string | undefined {
  if (line.trim() === '') return undefined;
  try {
    const entry = JSON.parse(line) as {
      level?: string;
      service?: string;
      msg?: string;
      err?: { message?: string; stack?: string };
    };
    if (!TROUBLE.has(entry.level ?? '')) return undefined;
    const at = entry.level === 'warn' ? '' : (entry.err?.stack?.split('\n')[1]?.trim() ?? '');
    return [`${entry.service}, ${entry.level}: ${entry.msg}`, entry.err?.message, at].filter(Boolean).join('; ').slice(0, 300);
  } catch {
    return line.slice(0, 300);
  }
}
