import { createInterface } from 'node:readline';
import { isSameGroup, signalGroup } from './process-group.ts';

// Runs as a separate process, with the agent at the other end of stdin. When the agent ends, however it ends, stdin closes, and the guard
// ends every process group that the agent has announced: lines `+ PID TICKS` and `- PID`.
const graceMs = 2000;
const groups = new Map<number, string>();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const [sign, pid, ticks] = line.split(' ');
  if (sign === '+') groups.set(Number(pid), ticks ?? '');
  else groups.delete(Number(pid));
});
lines.on('close', () => {
  const alive = [...groups].filter(([pid, startTicks]) => isSameGroup({ pid, startTicks }));
  for (const [pid] of alive) signalGroup(pid, 'SIGTERM');
  setTimeout(
    () => {
      for (const [pid] of alive) signalGroup(pid, 'SIGKILL');
      process.exit(0);
    },
    alive.length > 0 ? graceMs : 0,
  );
});
