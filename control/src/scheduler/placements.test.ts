import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Role } from '@millrace/api';
import { seededRandom } from '@millrace/service';
import { parse, stringify } from 'yaml';
import { schedule, type Candidate } from './schedule.ts';

/** A network and its clients, in short form. `UPDATE_GOLDEN=1` writes the outcome. */
interface Case {
  about: string;
  /** By name: `<region> <roles, by commas> <CPU>% <sessions>/<capacity> [isp=..] [pending=..] [carries] [cordoned] [draining] [disconnected]`. */
  nodes: Record<string, string>;
  /** `<region> <region> <ms>`, in both directions. */
  rtts?: string[];
  /** By name: `push|pull [region=..] [isp=..] [group=..] [allowed=a,b] [exclude=a,b]`. */
  clients: Record<string, string>;
  /** By name: the nodes in order, or the reasons why there is none. */
  expect?: Record<string, string>;
}

const testdata = new URL('testdata/', import.meta.url);

function wordsOf(line: string): { plain: string[]; named: Map<string, string> } {
  const words = line.split(' ');
  const pairs = words.filter((word) => word.includes('=')).map((word) => word.split('=') as [string, string]);
  return { plain: words.filter((word) => !word.includes('=')), named: new Map(pairs) };
}

function candidateOf(node: string, line: string): Candidate {
  const { plain, named } = wordsOf(line);
  const [region, roles, cpu, use, ...flags] = plain as [string, string, string, string, ...string[]];
  const [sessions, capacity] = use.split('/').map(Number) as [number, number];
  const cpuPercent = Number.parseFloat(cpu);
  return {
    node,
    region,
    isp: named.get('isp'),
    roles: roles.split(',') as Role[],
    connected: !flags.includes('disconnected'),
    reportAgeMs: 500,
    load: { cpuPercent, egressMbps: 0, ingressMbps: 0, sessions, publishers: 0, viewers: sessions, streams: 1 },
    capacity: { sessions: capacity, egressMbps: 10_000 },
    pending: Number(named.get('pending') ?? 0),
    cordoned: flags.includes('cordoned'),
    draining: flags.includes('draining'),
    https: true,
    carries: flags.includes('carries'),
  };
}

function placed(golden: Case, line: string): string {
  const { plain, named } = wordsOf(line);
  const rtts = (golden.rtts ?? []).map((text) => text.split(' ') as [string, string, string]);
  const result = schedule(
    {
      kind: plain[0] as 'push' | 'pull',
      stream: 'live/demo',
      region: named.get('region'),
      isp: named.get('isp'),
      group: named.get('group'),
      exclude: new Set(named.get('exclude')?.split(',')),
      allowedRegions: named.get('allowed')?.split(','),
      rttMs: (from, to) => {
        const found = rtts.find(([a, b]) => (a === from && b === to) || (a === to && b === from));
        return found && Number(found[2]);
      },
      count: 3,
    },
    Object.entries(golden.nodes).map(([name, node]) => candidateOf(name, node)),
    seededRandom(1),
  );
  if (result.ok) return result.choices.map(({ node }) => node).join(' ');
  return `none: ${result.reasons.map(({ node, reason }) => `${node} ${reason}`).join(', ')}`;
}

describe('placements', () => {
  for (const file of readdirSync(testdata).filter((name) => name.endsWith('.yaml'))) {
    const url = new URL(file, testdata);
    const golden = parse(readFileSync(url, 'utf8')) as Case;
    test(`${file}: ${golden.about}`, () => {
      const found = Object.fromEntries(Object.entries(golden.clients).map(([name, line]) => [name, placed(golden, line)]));
      if (process.env['UPDATE_GOLDEN']) writeFileSync(url, stringify({ ...golden, expect: found }, { lineWidth: 0 }));
      else assert.deepEqual(found, golden.expect);
    });
  }
});
