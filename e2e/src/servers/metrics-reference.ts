import type { Registry } from '@millrace/service';

export interface Metric {
  name: string;
  type: string;
  help: string;
  labels: string[];
  /** The servers that export it. */
  parts: string[];
}

/** Last words of metric names, and their units. A plural noun is its own unit. */
export const UNITS: Readonly<Record<string, string>> = {
  seconds: 'seconds',
  ratio: '0 to 1',
  bits_per_second: 'bits per second',
  bytes: 'bytes',
  status: '1 or 0',
  total: 'a count',
};

/** What each label holds, and why it has few values. No label holds a stream, a user or an address. */
export const LABELS: Readonly<Record<string, string>> = {
  kind: '`push` or `pull`; of status writes the kind of object',
  outcome: '`placed` or `refused`; of status writes `written` or `failed`',
  protocol: '`whip`, `whep`, `short`, `rtp`',
  state: 'a fixed list, in the help text',
  role: '`origin`, `relay`, `edge`',
  reason: 'one of the fixed phrases in the code',
  listener: '`control`, `signaling`, `ops`',
  peer: 'name of another media node: as many as this one dials, at most 2,000, a few in a usual mesh',
  resource: 'a kind of object that the operator or control reads',
  verb: 'a verb of the Kubernetes API',
  code: 'an HTTP status, or `error`',
  cause: 'one of the fixed causes in the code',
  queue: 'a controller of the operator',
  controller: 'a controller of the operator',
  result: '`done`, `requeued`, `failed`, `fenced`',
  lease: 'the Lease that is held',
  namespace: 'of a MediaEdge',
  edge: 'name of a MediaEdge: four series each',
};

interface Registered {
  name: string;
  help: string;
  labelNames: string[];
}

/** The metrics in the registries of running servers, by name, without those of Node.js itself. */
export async function metricsOf(registries: Readonly<Record<string, Registry>>): Promise<Metric[]> {
  const found = new Map<string, Metric>();
  for (const [part, registry] of Object.entries(registries)) {
    const types = new Map((await registry.getMetricsAsJSON()).map(({ name, type }) => [name, type as unknown as string]));
    for (const { name, help, labelNames } of registry.getMetricsAsArray() as unknown as Registered[]) {
      if (!name.startsWith('millrace_')) continue;
      const parts = [...(found.get(name)?.parts ?? []), part];
      found.set(name, { name, help, labels: labelNames, type: types.get(name) ?? '', parts });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function unitOf(name: string): string {
  const suffix = Object.keys(UNITS).find((unit) => name.endsWith(`_${unit}`));
  return suffix ? UNITS[suffix]! : 'a count';
}

const GROUPS: Readonly<Record<string, string>> = {
  control: 'Control',
  http: 'HTTP listeners',
  kube: 'Kubernetes client and controllers',
  node: 'Media node: sessions and workers',
  operator: 'Operator',
  relay: 'Media node: relay and trunks',
};

export function metricsPage(metrics: readonly Metric[]): string {
  const groupOf = ({ name }: Metric): string => name.split('_')[1]!;
  const groups = [...new Set(metrics.map(groupOf))].sort();
  const used = [...new Set(metrics.flatMap(({ labels }) => labels))].sort();
  return [
    '<!-- Generated from the registries of running servers by `npm run generate:metrics`. Change the help texts in the code. -->\n',
    '# Metrics\n',
    'Each server answers `GET /metrics` on its operations port in the text format of Prometheus, to private networks only unless its setting',
    '`metricsFrom` says otherwise. Names are `millrace_<part>_<what>_<unit>`; where the last word is a plural it is what is counted. Every sample',
    'carries the label `service` (`control`, `operator`, `media-node`). The metrics of the process itself (`process_*`, `nodejs_*`) are those of',
    '[prom-client](https://github.com/siimon/prom-client#default-metrics).\n',
    ...groups.flatMap((group) => [
      `## ${GROUPS[group] ?? group}\n`,
      '| name | type | unit | labels | meaning | of |\n| --- | --- | --- | --- | --- | --- |',
      ...metrics
        .filter((metric) => groupOf(metric) === group)
        .map(
          ({ name, type, labels, help, parts }) =>
            `| \`${name}\` | ${type} | ${unitOf(name)} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help.split('; ')[0]} | ${parts.join(', ')} |`,
        ),
      '',
    ]),
    '## Labels\n',
    'No label holds a stream, a user or an address, so that the number of series does not grow with the audience.\n',
    '| label | values |\n| --- | --- |',
    ...used.map((label) => `| \`${label}\` | ${LABELS[label] ?? ''} |`),
    '',
  ].join('\n');
}
