import { setLogEventListeners } from 'mediasoup';

type LineListener = (line: string) => void;

const listeners = new Map<number, Set<LineListener>>();

/**
 * Calls `onLine` for each warning of the media worker with this process id, until the returned function is called. mediasoup has one place for all
 * workers' logs in a process; nothing else in this package may call setLogEventListeners.
 */
export function listenToWorker(pid: number, onLine: LineListener): () => void {
  if (listeners.size === 0) setLogEventListeners({ onwarn: (_namespace, log) => dispatch(log) });
  const ofWorker = listeners.get(pid) ?? new Set();
  listeners.set(pid, ofWorker.add(onLine));
  return () => {
    ofWorker.delete(onLine);
    if (ofWorker.size === 0) listeners.delete(pid);
    if (listeners.size === 0) setLogEventListeners({});
  };
}

/** A line reads "[pid:123] RTC::Transport::ReceiveRtpPacket() | text". */
function dispatch(log: string): void {
  const pid = /^\[pid:(\d+)\] /.exec(log);
  if (!pid) return;
  for (const onLine of listeners.get(Number(pid[1])) ?? []) onLine(log.slice(pid[0].length));
}
