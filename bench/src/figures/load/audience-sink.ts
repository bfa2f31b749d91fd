// Receives the packets of all plain RTP viewers in a separate thread, and counts those of each stream. Started by startAudienceSink.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Reporting, type ReportedSession } from '../../media/reporting.ts';
import { addAccount, Arrivals, emptyAccount, type Account } from './arrivals.ts';

const THREAD = 'audience-sink';
/** Several sockets, so that a frame for hundreds of viewers fits into their buffers. */
const SOCKETS = 16;
const MIN_RTP_BYTES = 40;
/** A viewer that receives no packet for this long is silent. */
const SILENT_MS = 2_000;

type Message =
  | { is: 'viewer'; ssrc: number; stream: number }
  | { is: 'gone'; ssrc: number; stream: number }
  | { is: 'joined'; session: ReportedSession }
  | { is: 'left'; session: ReportedSession }
  | { is: 'report' }
  | { is: 'reset' };

export interface AudienceReport {
  /** By stream, for all viewers since the start, including those that left. */
  readonly streams: readonly Account[];
  /** The current viewers that received nothing for 2 s. */
  readonly silent: number;
}

export interface AudienceSink {
  readonly ports: readonly number[];
  /** Assigns the packets with this SSRC to a viewer of the stream, including those received before. */
  expect(ssrc: number, stream: number): void;
  forget(ssrc: number, stream: number): void;
  /** Reports to the viewer's node, so that the session stays, until `leave`. */
  join(session: ReportedSession): void;
  leave(session: ReportedSession): void;
  report(): Promise<AudienceReport>;
  /** Resets the counts. */
  resetCounts(): void;
  stop(): Promise<void>;
}

export async function startAudienceSink(): Promise<AudienceSink> {
  const worker = new Worker(new URL(import.meta.url), { workerData: THREAD, name: THREAD });
  const [ports] = (await once(worker, 'message')) as [number[]];
  const post = (message: Message): void => worker.postMessage(message);
  return {
    ports,
    expect: (ssrc, stream) => post({ is: 'viewer', ssrc, stream }),
    forget: (ssrc, stream) => post({ is: 'gone', ssrc, stream }),
    join: (session) => post({ is: 'joined', session }),
    leave: (session) => post({ is: 'left', session }),
    report: async () => {
      post({ is: 'report' });
      return ((await once(worker, 'message')) as [AudienceReport])[0];
    },
    resetCounts: () => post({ is: 'reset' }),
    stop: async () => void (await worker.terminate()),
  };
}

interface SinkViewer {
  arrivals: Arrivals;
  readonly sinceMs: number;
  stream: number | undefined;
}

async function receive(): Promise<void> {
  const viewers = new Map<number, SinkViewer>();
  const left: Account[] = [];
  const reporting = new Reporting();
  const viewerOf = (ssrc: number): SinkViewer => {
    let viewer = viewers.get(ssrc);
    if (!viewer) viewers.set(ssrc, (viewer = { arrivals: new Arrivals(), sinceMs: performance.now(), stream: undefined }));
    return viewer;
  };
  parentPort!.on('message', (message: Message) => {
    if (message.is === 'report') return parentPort!.postMessage(reportOf(viewers, left));
    if (message.is === 'reset') {
      left.length = 0;
      for (const viewer of viewers.values()) viewer.arrivals = new Arrivals();
      return;
    }
    if (message.is === 'joined') return reporting.add(message.session);
    if (message.is === 'left') return reporting.remove(message.session);
    if (message.is === 'viewer') return void (viewerOf(message.ssrc).stream = message.stream);
    const viewer = viewers.get(message.ssrc);
    if (viewer) addAccount((left[message.stream] ??= emptyAccount()), viewer.arrivals.account());
    viewers.delete(message.ssrc);
  });
  const ports: number[] = [];
  for (let i = 0; i < SOCKETS; i++) {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
    socket.on('message', (packet) => {
      if (packet.length < MIN_RTP_BYTES || (packet[1]! >= 192 && packet[1]! <= 223)) return;
      viewerOf(packet.readUInt32BE(8)).arrivals.packet(packet.readUInt16BE(2), performance.now());
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    ports.push(socket.address().port);
    reporting.use(socket);
  }
  parentPort!.postMessage(ports);
}

function reportOf(viewers: ReadonlyMap<number, SinkViewer>, left: readonly (Account | undefined)[]): AudienceReport {
  const nowMs = performance.now();
  const streams = Array.from(left, (account) => ({ ...(account ?? emptyAccount()) }));
  let silent = 0;
  for (const { arrivals, sinceMs, stream } of viewers.values()) {
    if (stream === undefined) continue;
    addAccount((streams[stream] ??= emptyAccount()), arrivals.account());
    if (sinceMs < nowMs - SILENT_MS && arrivals.isSilentSince(nowMs - SILENT_MS)) silent += 1;
  }
  return { streams: Array.from(streams, (account) => account ?? emptyAccount()), silent };
}

if (!isMainThread && workerData === THREAD) await receive();
