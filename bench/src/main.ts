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
import { benchOf } from './surroundings.ts';
import { formatTable } from './table.ts';

const measure: Record<(typeof FIGURES)[number], (bench: Bench) => Promise<Figure>> = {
  join: measureJoin,
  reroute: measureReroute,
  fanout: measureFanout,
  relay: measureRelay,
  load: measureLoad,
};

async function main(config: BenchConfig): Promise<void> {
  const ending = new Ending();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      process.stderr.write(`bench: ${signal}, ending what was started …\n`);
      void ending.end().then(() => process.exit(130));
    });
  const startMs = performance.now();
  const say = (line: string) =>
    process.stderr.write(`  ${((performance.now() - startMs) / 1000).toFixed(0).padStart(4)} s  ${line}\n`);
  const conditions = conditionsNow();
  process.stdout.write(`${formatConditions(conditions)}\n`);
  const figures: Record<string, Figure> = {};
  try {
    const bench = benchOf(config, ending, say);
    for (const name of FIGURES.filter((each) => config.only.includes(each))) {
      say(`${name} …`);
      const figure = await measure[name](bench);
      figures[name] = figure;
      process.stdout.write(`\n${formatFigure(figure)}\n`);
    }
  } finally {
    await ending.end();
    mkdirSync(dirname(config.json), { recursive: true });
    writeFileSync(config.json, `${JSON.stringify({ conditions, config, figures }, null, 2)}\n`);
  }
  process.stdout.write(`\n${Math.round((performance.now() - startMs) / 1000)} s; all measurements: ${config.json}\n`);
}

function formatFigure({ conditions, also = [], ...first }: Figure): string {
  const tables = [first, ...also].map(({ title, columns, rows }) => `${title}\n${formatTable(columns, rows)}\n`);
  return `${tables.join('\n')}${conditions.map((line) => `  - ${line}`).join('\n')}`;
}

try {
  const config = loadConfig(BenchConfig, { argv: process.argv.slice(2), env: process.env, envPrefix: 'MILLRACE_BENCH_' });
  if (config.namespace) enterNamespace();
  await main(config);
  process.exit(0);
} catch (error) {
  if (error instanceof HelpRequested) process.stdout.write(error.message);
  else
    process.stderr.write(`bench: ${error instanceof ConfigError ? error.message : String((error as Error)?.stack ?? error)}\n`);
  process.exit(error instanceof HelpRequested ? 0 : error instanceof ConfigError ? 2 : 1);
}
