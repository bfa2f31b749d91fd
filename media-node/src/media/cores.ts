import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { urlHost } from '@millrace/api';
import { createWorker, type types } from 'mediasoup';
import type { Clock, Logger, Timer } from '@millrace/service';
import { allowedCpuList, parseCpuList, pinProcess, planPinning } from './affinity.ts';
import { RestartBackoff } from './restart-backoff.ts';

export interface MediaCore {
  index: number;
  worker: types.Worker;
  server: types.WebRtcServer;
  /** UDP port of its WebRtcServer. */
  port: number;
}

export interface MediaCoresOptions {
  count: number;
  /** Worker i listens on mediaPort + i. With 0, each worker chooses a free port. */
  mediaPort: number;
  /** IP addresses; each worker opens a socket on each of them. */
  binds: readonly string[];
  pinning: 'none' | 'affinity' | 'static';
  logger: Logger;
  clock: Clock;
}

interface MediaCoreEvents {
  /** The core's worker died, with its routers and transports. */
  lost: [index: number];
  /** The core's worker was replaced; the core accepts sessions again. */
  restarted: [index: number];
}

/** The media workers of this node, each with its own process, UDP port and CPU. A worker that dies is replaced; the node stays up. */
export class MediaCores extends EventEmitter<MediaCoreEvents> {
  readonly #options: MediaCoresOptions;
  readonly #cores: (MediaCore | undefined)[] = [];
  readonly #backoffs: RestartBackoff[];
  readonly #ports: number[] = [];
  #pinned: readonly number[] | undefined;
  #closed = false;
  readonly #timers = new Set<Timer>();

  private constructor(options: MediaCoresOptions) {
    super();
    this.setMaxListeners(0);
    this.#options = options;
    this.#backoffs = Array.from({ length: options.count }, () => new RestartBackoff());
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

  /** How many cores have a running worker. */
  get alive(): number {
    return this.#cores.filter((core) => core && !core.worker.closed).length;
  }

  /** Indexes of the cores whose workers die repeatedly. */
  get failing(): number[] {
    const nowMs = this.#options.clock.now();
    return this.#backoffs.flatMap((backoff, index) => (backoff.isFailing(nowMs) ? [index] : []));
  }

  /** The core with this index or, while its worker is being replaced, the next running one. Undefined when none is running. */
  at(index: number): MediaCore | undefined {
    for (let step = 0; step < this.count; step++) {
      const core = this.#cores[(index + step) % this.count];
      // mediasoup closes a worker's routers before it emits `died`, so their owners may ask for a core before this one is unset.
      if (core && !core.worker.closed) return core;
    }
    return undefined;
  }

  /** Whether a core is running now or starts to run within `withinMs`. */
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
      // A new worker reuses its predecessor's port, which is declared to Kubernetes and known to control.
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
    const backoff = this.#backoffs[index]!;
    backoff.started(clock.now());
    const onDied = (error: Error): void => {
      logger.error({ core: index, err: error }, 'media worker died; its sessions move and it is replaced');
      this.#cores[index] = undefined;
      this.emit('lost', index);
      this.#restart(index, backoff.ended(clock.now()));
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
          this.#restart(index, this.#backoffs[index]!.ended(this.#options.clock.now()));
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
 * Starts a worker that survives SIGINT and SIGTERM. mediasoup closes workers as soon as this process receives one of them, but the node must move sessions
 * away first, so this removes mediasoup's listeners. createWorker adds them before it returns.
 */
function startWorker(index: number): Promise<types.Worker> {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const before = signals.map((signal) => new Set(process.listeners(signal)));
  const starting = createWorker({ logLevel: 'warn', appData: { index } });
  for (const [i, signal] of signals.entries())
    for (const listener of process.listeners(signal)) if (!before[i]!.has(listener)) process.off(signal, listener);
  return starting;
}

/** How many random ports are tried: a port must be free on every address. */
const MAX_PORT_TRIES = 20;
/** The range of random ports; it excludes well-known ones. */
const FREE_PORTS = { min: 20_000, max: 59_999 };

/** Creates a server that listens on the same port of every address. Port 0 chooses a free one. */
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

/**
 * Holds what comes at once while the worker is busy: the replay after an outage, a keyframe at a high bit rate, the reports of many viewers. Linux
 * gives at most net.core.rmem_max and wmem_max.
 */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/** Listen settings of a mediasoup UDP socket. A socket on `::` takes IPv6 only, because IPv4 has its own socket. */
export function listenInfo(ip: string, port: Pick<types.TransportListenInfo, 'port' | 'portRange'>): types.TransportListenInfo {
  return {
    protocol: 'udp',
    ip,
    flags: { ipv6Only: ip.includes(':') },
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
    ...port,
  };
}

/** For the sockets between workers and the relay thread. Their ports lie above those that a node declares. */
export const LISTEN_ON_LOOPBACK = listenInfo('127.0.0.1', { portRange: { min: 43_000, max: 65_000 } });
