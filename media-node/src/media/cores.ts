import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { urlHost } from '@millrace/api';
import { createWorker, type types } from 'mediasoup';
import type { Clock, Logger, Timer } from '@millrace/service';
import { allowedCpuList, parseCpuList, pinProcess, planPinning } from './affinity.ts';
import { RestartPace } from './restart-pace.ts';

export interface MediaCore {
  index: number;
  worker: types.Worker;
  server: types.WebRtcServer;
  /** UDP port of its WebRtcServer. */
  port: number;
}

export interface MediaCoresOptions {
  count: number;
  /** Worker i listens on mediaPort + i; 0: each takes a free port. */
  mediaPort: number;
  /** IP addresses, each worker has a socket on each of them. */
  binds: readonly string[];
  pinning: 'none' | 'affinity' | 'static';
  logger: Logger;
  clock: Clock;
}

interface MediaCoreEvents {
  /** All that lived on this core is gone. */
  lost: [index: number];
  /** The core takes sessions again. */
  restarted: [index: number];
}

/** The media workers of this node: one process, one UDP port, one CPU each. A worker that dies is replaced; the node stays up. */
export class MediaCores extends EventEmitter<MediaCoreEvents> {
  readonly #options: MediaCoresOptions;
  readonly #cores: (MediaCore | undefined)[] = [];
  readonly #paces: RestartPace[];
  readonly #ports: number[] = [];
  #pinned: readonly number[] | undefined;
  #closed = false;
  readonly #timers = new Set<Timer>();

  private constructor(options: MediaCoresOptions) {
    super();
    this.setMaxListeners(0);
    this.#options = options;
    this.#paces = Array.from({ length: options.count }, () => new RestartPace());
  }

  /** Rejects when a worker cannot start, e.g. because its port is taken. */
  static async start(options: MediaCoresOptions): Promise<MediaCores> {
    const cores = new MediaCores(options);
    if (options.pinning !== 'none') cores.#pinned = planPinning(parseCpuList(await allowedCpuList()), options.count);
    if (options.pinning !== 'none' && !cores.#pinned)
      options.logger.warn('too few CPUs to pin media workers one each; they run unpinned');
    try {
      for (let index = 0; index < options.count; index++) await cores.#startCore(index);
    } catch (error) {
      cores.close();
      throw error;
    }
    return cores;
  }

  get count(): number {
    return this.#options.count;
  }

  get ports(): number[] {
    return [...this.#ports];
  }

  get pids(): number[] {
    return this.#cores.flatMap((core) => (core ? [core.worker.pid] : []));
  }

  /** How many cores work right now. */
  get alive(): number {
    return this.#cores.filter((core) => core && !core.worker.closed).length;
  }

  /** Cores whose workers die again and again, by index. */
  get failing(): number[] {
    const nowMs = this.#options.clock.now();
    return this.#paces.flatMap((pace, index) => (pace.isFailing(nowMs) ? [index] : []));
  }

  /** The core, or the next living one when it is being replaced; undefined when none lives. */
  at(index: number): MediaCore | undefined {
    for (let step = 0; step < this.count; step++) {
      const core = this.#cores[(index + step) % this.count];
      // What lives on a worker hears of its death before this does.
      if (core && !core.worker.closed) return core;
    }
    return undefined;
  }

  /** Whether a core works, or does so again within this time. */
  async whenAlive(withinMs: number): Promise<boolean> {
    if (this.alive > 0 || this.#closed) return this.alive > 0;
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clock.clearTimeout(timer);
        this.off('restarted', done);
        resolve();
      };
      const timer = clock.setTimeout(done, withinMs);
      this.on('restarted', done);
    });
    return this.alive > 0;
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) this.#options.clock.clearTimeout(timer);
    for (const core of this.#cores) core?.worker.close();
    this.#cores.length = 0;
  }

  async #startCore(index: number): Promise<void> {
    const { mediaPort, binds, logger, clock } = this.#options;
    const worker = await startWorker(index);
    try {
      // A replaced worker keeps its predecessor's port: it is declared to Kubernetes and known to control.
      const port = this.#ports[index] ?? (mediaPort === 0 ? 0 : mediaPort + index);
      const server = await createServer(worker, binds, port);
      const bound = (await server.dump()).udpSockets[0]!.port;
      await this.#pin(worker.pid, index);
      this.#ports[index] = bound;
      this.#cores[index] = { index, worker, server, port: bound };
    } catch (error) {
      worker.close();
      throw error;
    }
    const pace = this.#paces[index]!;
    pace.started(clock.now());
    const onDied = (error: Error): void => {
      logger.error({ core: index, err: error }, 'media worker died; its sessions move and it is replaced');
      this.#cores[index] = undefined;
      this.emit('lost', index);
      this.#restart(index, pace.ended(clock.now()));
    };
    if (worker.died) onDied(new Error('it died while it was being set up'));
    else worker.on('died', onDied);
  }

  #restart(index: number, delayMs: number): void {
    if (this.#closed) return;
    if (delayMs > 0) this.#options.logger.warn({ core: index, delayMs }, 'media workers of this core die one after the other');
    const timer = this.#options.clock.setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#closed) return;
      this.#startCore(index).then(
        () => this.emit('restarted', index),
        (error: unknown) => {
          this.#options.logger.error({ core: index, err: error }, 'media worker could not be replaced; trying again');
          this.#restart(index, this.#paces[index]!.ended(this.#options.clock.now()));
        },
      );
    }, delayMs);
    this.#timers.add(timer);
  }

  async #pin(pid: number, index: number): Promise<void> {
    const cpu = this.#pinned?.[index];
    if (cpu === undefined) return;
    try {
      await pinProcess(pid, cpu);
    } catch (error) {
      this.#options.logger.warn({ core: index, cpu, err: error }, 'media worker could not be pinned');
    }
  }
}

/**
 * mediasoup has each worker closed as soon as this process gets SIGINT or SIGTERM; sessions are to be moved away before that, so its listeners go. It adds
 * them before createWorker returns.
 */
function startWorker(index: number): Promise<types.Worker> {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const before = signals.map((signal) => new Set(process.listeners(signal)));
  const starting = createWorker({ logLevel: 'warn', appData: { index } });
  for (const [i, signal] of signals.entries())
    for (const listener of process.listeners(signal)) if (!before[i]!.has(listener)) process.off(signal, listener);
  return starting;
}

/** Free ports that are tried: of a random one some address of several may be taken. */
const MAX_PORT_TRIES = 20;
/** Keeps free ports off well-known ones. */
const FREE_PORTS = { min: 20_000, max: 59_999 };

/** A server on one port of all addresses. Port 0: a free one. */
async function createServer(worker: types.Worker, binds: readonly string[], port: number): Promise<types.WebRtcServer> {
  for (let tries = 1; ; tries++) {
    const chosen = port === 0 ? randomInt(FREE_PORTS.min, FREE_PORTS.max + 1) : port;
    try {
      return await worker.createWebRtcServer({ listenInfos: binds.map((ip) => listenInfo(ip, { port: chosen })) });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (port === 0 && /address already in use/.test(why) && tries < MAX_PORT_TRIES) continue;
      throw new Error(
        `a media worker cannot listen on UDP ${binds.map((ip) => `${urlHost(ip)}:${port === 0 ? 'any' : port}`).join(' and ')} (${why}); free that port or set another MILLRACE_MEDIA_PORT`,
        { cause: error },
      );
    }
  }
}

/** For a UDP socket of mediasoup. One on `::` is for IPv6 alone: IPv4 has its own. */
export function listenInfo(ip: string, port: Pick<types.TransportListenInfo, 'port' | 'portRange'>): types.TransportListenInfo {
  return { protocol: 'udp', ip, flags: { ipv6Only: ip.includes(':') }, ...port };
}
