import { readFileSync, readdirSync } from 'node:fs';

interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  /** Name of its program, as in `comm` (proc(5)). */
  readonly program: string;
  readonly commandLine: string;
}

function processes(): ProcessFacts[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
        const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const program = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
        const commandLine = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(entry), parent: Number(parent), state, program, commandLine }];
      } catch {
        return []; // It ended meanwhile.
      }
    });
}

/** Process id of a media node on this machine, found by its process title. */
export function pidOfNode(node: string): number {
  const pids = pidsOfNode(node);
  if (pids[0] === undefined) throw new Error(`no process of node ${node}`);
  return pids[0];
}

/** All processes of this node; more than one is a fault. */
export function pidsOfNode(node: string): number[] {
  return processes().flatMap(({ pid, commandLine }) => (commandLine === `millrace-media-node ${node}` ? [pid] : []));
}

/** Names of the nodes that run below a process, sorted; a node with two processes appears twice. */
export function nodesBeneath(pid: number): string[] {
  const own = new Set(descendantsOf(pid));
  return processes()
    .flatMap((each) => (own.has(each.pid) ? [/^millrace-media-node (\S+)$/.exec(each.commandLine)?.[1] ?? ''] : []))
    .filter((name) => name !== '')
    .sort();
}

/** Processes whose command line contains this text, e.g. the path of a scratch folder. */
export function pidsNaming(text: string): number[] {
  return processes().flatMap(({ pid, commandLine }) => (commandLine.includes(text) ? [pid] : []));
}

/** Process ids of a node's media workers. */
export function workersOf(node: string): number[] {
  const parent = pidOfNode(node);
  return processes().flatMap((each) => (each.parent === parent && each.program.startsWith('mediasoup-work') ? [each.pid] : []));
}

/** Whether the process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  return processes().some((each) => each.pid === pid && each.state !== 'Z');
}

/** All descendants of a process. */
export function descendantsOf(pid: number): number[] {
  const all = processes();
  const found = [pid];
  for (let i = 0; i < found.length; i++) {
    for (const each of all) if (each.parent === found[i]) found.push(each.pid);
  }
  return found.slice(1);
}

/** One value of a node's metrics; the sum over the label sets when there are several. */
export async function metricOf(opsUrl: string, name: string): Promise<number> {
  const response = await fetch(new URL('/metrics', opsUrl));
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  if (lines.length === 0) throw new Error(`${opsUrl} has no metric ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
