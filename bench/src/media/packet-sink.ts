// Counts datagrams on a set of UDP sockets in a separate thread. Started by startSink.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Reporting, type ReportedSession } from './reporting.ts';

/** Several sockets, so that a frame for hundreds of viewers fits into their buffers. */
const SOCKETS = 16;
const MIN_RTP_BYTES = 40;

export interface PacketSink {
  readonly ports: readonly number[];
  /** Reports to this viewer's node from now on, so that the session stays. */
  reportTo(session: ReportedSession): void;
  /** The number of RTP packets so far, of all viewers. RTCP packets are shorter and not counted. */
  packets(): number;
  /** The number of different SSRCs since the last call. */
  sources(): Promise<number>;
  stop(): Promise<void>;
}

export async function startSink(): Promise<PacketSink> {
  const counter = new SharedArrayBuffer(8);
  const worker = new Worker(new URL(import.meta.url), { workerData: counter });
  const [ports] = (await once(worker, 'message')) as [number[]];
  return {
    ports,
    reportTo: (session) => worker.postMessage(session),
    packets: () => Number(Atomics.load(new BigInt64Array(counter), 0)),
    sources: async () => {
      worker.postMessage('sources');
      return ((await once(worker, 'message')) as [number])[0];
    },
    stop: async () => void (await worker.terminate()),
  };
}

async function count(counter: BigInt64Array): Promise<void> {
  const sources = new Set<number>();
  const ports: number[] = [];
  const reporting = new Reporting();
  for (let i = 0; i < SOCKETS; i++) {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
    socket.on('message', (packet) => {
      if (packet.length < MIN_RTP_BYTES || (packet[1]! >= 192 && packet[1]! <= 223)) return;
      Atomics.add(counter, 0, 1n);
      sources.add(packet.readUInt32BE(8));
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    ports.push(socket.address().port);
    reporting.use(socket);
  }
  parentPort!.on('message', (message: 'sources' | ReportedSession) => {
    if (message !== 'sources') return reporting.add(message);
    parentPort!.postMessage(sources.size);
    sources.clear();
  });
  parentPort!.postMessage(ports);
}

if (!isMainThread && workerData instanceof SharedArrayBuffer) await count(new BigInt64Array(workerData));
