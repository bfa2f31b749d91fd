import type { Table } from '../../figure.ts';
import type { Ramp } from './ramp.ts';
import { theilSen, type Slope } from './slope.ts';
import { useOf, type Use } from './use.ts';

const PUSH = /-push\b/;
const PULL = /-pull\b/;
const RELAYS = /-relay\b/;

export interface Costs {
  readonly idle: Use;
  /** The use with all publishers and no viewer. */
  readonly published: Use;
  readonly ramp: Ramp;
  readonly streams: number;
}

/**
 * The cost of an additional stream or viewer. For a published and a carried stream, the increase divided by the number of streams. For a
 * viewer, the slope of the pull nodes' use over the steps of the ramp.
 */
export function costTable({ idle, published, ramp, streams }: Costs): Table {
  const divided = (after: Use, before: Use, pattern: RegExp) => {
    const [a, b] = [useOf(after, pattern), useOf(before, pattern)];
    return { cpu: (a.cpu - b.cpu) / streams, rssMib: (a.rssMib - b.rssMib) / streams };
  };
  const pushed = divided(published, idle, PUSH);
  const carried = divided(ramp.steps[0] ?? published, published, RELAYS);
  const row = (what: string, { cpu, rssMib }: { cpu: number; rssMib: number }, how: string) => [
    what,
    (cpu * 1_000).toFixed(2),
    (rssMib * 1_024).toFixed(0),
    how,
  ];
  const all = Object.values(idle.processes);
  const idleUse = {
    cpu: all.reduce((sum, { cpu }) => sum + cpu, 0),
    rssMib: all.reduce((sum, { rssKib }) => sum + rssKib / 1_024, 0),
  };
  return {
    title: 'Costs',
    columns: ['of', 'CPU ms/s', 'RSS KiB', 'how'],
    rows: [
      row('the idle network', idleUse, 'all processes, no stream'),
      row('a published stream', pushed, `push node with ${streams} streams less without, divided`),
      row('a carried stream', carried, `all relays with the first viewers less without, divided by ${streams} streams`),
      ...viewerRows(ramp),
    ],
  };
}

function viewerRows({ steps }: Ramp): string[][] {
  const slopeOf = (what: 'cpu' | 'rssMib'): Slope | undefined =>
    steps.length < 4 ? undefined : theilSen(steps.map((step) => ({ x: step.viewers, y: useOf(step, PULL)[what] })));
  const [cpu, memory] = [slopeOf('cpu'), slopeOf('rssMib')];
  if (!cpu || !memory) return [];
  const range = ({ low, high }: Slope, factor: number, digits: number) =>
    `${(low * factor).toFixed(digits)} to ${(high * factor).toFixed(digits)}`;
  const how = `pull nodes, Theil-Sen over ${steps.length} steps of the ramp; CPU ${range(cpu, 1_000, 2)}, RSS ${range(memory, 1_024, 0)}`;
  return [['a viewer', (cpu.slope * 1_000).toFixed(2), (memory.slope * 1_024).toFixed(0), how]];
}
