import type { Browser } from '@millrace/testbed/browser';
import type { TestNetwork } from '@millrace/testbed/network';
import type { Cluster } from './cluster.ts';
import type { BenchConfig } from './config.ts';
import type { Clip } from '@millrace/testkit/media';
import type { Ending } from './processes/ending.ts';
import type { Cell } from './table.ts';

/** The resources of a figure. A network and a browser start when a figure first requests them. */
export interface Bench {
  readonly config: BenchConfig;
  readonly ending: Ending;
  readonly clip: () => Promise<Clip>;
  readonly network: () => Promise<TestNetwork>;
  /** The network's Kubernetes API. */
  readonly cluster: () => Promise<Cluster>;
  readonly browser: () => Promise<Browser>;
  /** Prints progress. */
  readonly say: (line: string) => void;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface Figure extends Table {
  /** How the figure was measured, in enough detail to interpret the table. */
  readonly conditions: readonly string[];
  /** Further tables of the same run. */
  readonly also?: readonly Table[];
  /** The individual measurements, for the JSON file. */
  readonly samples: unknown;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
