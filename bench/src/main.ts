// `make bench`: prints each figure as a table, with its conditions, and writes all of it to a JSON file.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError, HelpRequested, loadConfig } from '@millrace/service';
import { BenchConfig, FIGURES } from './config.ts';
import type { Bench, Figure } from './figure.ts';
import { measureFanout } from './figures/fanout.ts';
import { measureJoin } from './figures/join.ts';
import { measureLoad } from './figures/load/index.ts';
import { measureRelay } from './figures/relay.ts';
import { measureReroute } from './figures/reroute.ts';
import { conditionsNow, formatConditions } from './machine.ts';
import { enterNamespace } from './namespace.ts';
import { Ending } from './processes/ending.ts';
import { benchOf } from './bench-context.ts';
import { formatTable } from './table.ts';

const measure: Record<(typeof FIGURES)[number], (bench: Bench) => Promise<Figure>> = {
  join: measureJoin,
  reroute: measureReroute,
  fanout: measureFanout,
  relay: measureRelay,
  load: measureLoad,
};

/** The schema version of the JSON file, described in docs/bench.md. Incremented for incompatible changes. */
const SCHEMA = 2;

/** @returns whether all figures could be measured */
async function main(config: BenchConfig): Promise<boolean> {
  const ending = new Ending();
  const conditions = conditionsNow();
  const figures: Record<string, Figure | { failed: string }> = {};
  const write = (): void => {
    mkdirSync(dirname(config.json), { recursive: true });
    writeFileSync(config.json, `${JSON.stringify({ schema: SCHEMA, conditions, config, figures }, null, 2)}\n`);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      process.stderr.write(`bench: ${signal}, ending what was started …\n`);
      void ending.end().then(() => process.exit(130));
    });
  const startMs = performance.now();
  const say = (line: string) =>
    process.stderr.write(`  ${((performance.now() - startMs) / 1000).toFixed(0).padStart(4)} s  ${line}\n`);
  process.stdout.write(`${formatConditions(conditions)}\n`);
  const bench = benchOf(config, ending, say);
  for (const name of FIGURES.filter((each) => config.only.includes(each))) {
    if (ending.hasBegun) break;
    say(`${name} …`);
    const figure = await measure[name](bench).catch((error: unknown) => ({ failed: reasonOf(error) }));
    figures[name] = figure;
    write();
    process.stdout.write(`\n${'failed' in figure ? `${name}: FAILED: ${figure.failed}` : formatFigure(figure)}\n`);
  }
  await ending.end();
  process.stdout.write(`\n${Math.round((performance.now() - startMs) / 1000)} s; all measurements: ${config.json}\n`);
  return Object.values(figures).every((figure) => !('failed' in figure));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function formatFigure({ conditions, also = [], ...first }: Figure): string {
  const tables = [first, ...also].map(({ title, columns, rows }) => `${title}\n${formatTable(columns, rows)}\n`);
  return `${tables.join('\n')}${conditions.map((line) => `  - ${line}`).join('\n')}`;
}

try {
  const config = loadConfig(BenchConfig, { argv: process.argv.slice(2), env: process.env, envPrefix: 'MILLRACE_BENCH_' });
  if (config.namespace) enterNamespace();
  process.exit((await main(config)) ? 0 : 1);
} catch (error) {
  if (error instanceof HelpRequested) process.stdout.write(error.message);
  else
    process.stderr.write(`bench: ${error instanceof ConfigError ? error.message : String((error as Error)?.stack ?? error)}\n`);
  process.exit(error instanceof HelpRequested ? 0 : error instanceof ConfigError ? 2 : 1);
}
