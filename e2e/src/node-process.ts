import { readFileSync, readdirSync } from 'node:fs';

/** Process id of a media node on this machine, by the title it gives itself. */
export function pidOfNode(node: string): number {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const title = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      if (title === `millrace-media-node ${node}`) return Number(entry);
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error(`no process of node ${node}`);
}

/** One number of a node's metrics; the sum over its label sets when there are several. */
export async function metricOf(opsUrl: string, name: string): Promise<number> {
  const response = await fetch(new URL('/metrics', opsUrl));
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  if (lines.length === 0) throw new Error(`${opsUrl} has no metric ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
