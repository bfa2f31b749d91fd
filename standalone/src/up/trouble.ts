import type { MediaEdge } from '@millrace/api';
import type { Pod } from '@millrace/kube';

/** The last log lines of a container, the latest last. */
export type LogTail = (pod: Pod, container: string) => readonly string[];

/** Why an edge is not ready, one line for each problem: its pods' reasons with their last log lines, or else the edge's condition. */
export function troublesOf(edge: MediaEdge, pods: readonly Pod[], logTail: LogTail): string[] {
  const ofPods = pods.flatMap((pod) => podTrouble(pod, logTail));
  if (ofPods.length > 0) return ofPods;
  const conditions = edge.status?.conditions ?? [];
  const wrong = conditions.find(({ type, status }) => (type === 'Accepted' || type === 'ResolvedRefs') && status === 'False');
  return wrong ? [`${wrong.reason}: ${wrong.message}`] : [];
}

function podTrouble(pod: Pod, logTail: LogTail): string[] {
  const name = pod.metadata?.name ?? '';
  const unscheduled = pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
  if (unscheduled) return [`pod ${name}: ${unscheduled.reason ?? 'not scheduled'}: ${unscheduled.message ?? ''}`];
  return (pod.status?.containerStatuses ?? []).flatMap(({ name: container, ready, state, lastState }) => {
    if (ready) return [];
    const ended = state?.terminated ?? lastState?.terminated;
    if (ended && ended.exitCode !== 0) {
      const how = ended.signal ? `signal ${ended.signal}` : `exit code ${ended.exitCode}`;
      return [`pod ${name}: its process ends again and again (${how})`, ...logTail(pod, container).map((line) => `  | ${line}`)];
    }
    const { reason, message } = state?.waiting ?? {};
    if (!reason || (reason === 'ContainerCreating' && !message)) return [];
    return [`pod ${name}: ${reason}${message ? `: ${message}` : ''}`];
  });
}

const MAX_LINES = 3;
const MAX_CHARACTERS = 300;
/** pino's level of errors; fatal is higher. */
const ERROR_LEVEL = 50;

/** The last lines of a node's log that explain why it ended: error records, and lines that are not records, such as the first line of a stack. */
export function lastWords(log: string): string[] {
  const words = log.split('\n').flatMap((line) => {
    if (line.trim() === '' || /^\s+at /.test(line)) return [];
    const record = recordOf(line);
    if (!record) return [line.trim()];
    if (record.level < ERROR_LEVEL) return [];
    return [record.error === undefined ? record.message : `${record.message}: ${record.error}`];
  });
  return words.slice(-MAX_LINES).map((line) => line.slice(0, MAX_CHARACTERS));
}

function recordOf(line: string): { level: number; message: string; error: string | undefined } | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const { level, msg, err } = JSON.parse(line) as { level?: unknown; msg?: unknown; err?: { message?: unknown } };
    const names: Record<string, number> = { error: 50, fatal: 60 };
    const rank = typeof level === 'string' ? (names[level] ?? 0) : Number(level);
    return { level: rank, message: String(msg), error: typeof err?.message === 'string' ? err.message : undefined };
  } catch {
    return undefined;
  }
}
