import type { Report } from '@millrace/api';
import type { Clock, Logger, Registry } from '@millrace/service';
import { LoadMeter } from './load.ts';
import type { MediaCores, StreamHub } from './media/index.ts';
import { registerMetrics } from './metrics.ts';
import { PublisherWatch } from './publisher/index.ts';
import { registerRelayMetrics } from './relay-metrics.ts';
import type { Relay } from './relay/index.ts';
import { buildReport } from './report.ts';
import { PlainViewerWatch, type SessionRegistry } from './sessions/index.ts';

const INTERVAL_MS = 1000;
const NO_LOAD = { cpuPercent: 0, egressMbps: 0, ingressMbps: 0, sessions: 0, publishers: 0, viewers: 0, streams: 0 };

export interface Measured {
  hub: StreamHub;
  relay: Relay;
  cores: MediaCores;
  sessions: SessionRegistry;
  registry: Registry;
  /** CPU cores that the node may use. */
  cpus: number;
  /** What keeps the node from doing all its work. */
  problems: () => string[];
  /** Called after each measurement. */
  onMeasured: () => Promise<void>;
  clock: Clock;
  logger: Logger;
}

/** Measures load, sessions, links and streams once a second. Updates metrics and the report to control, and checks publishers and plain RTP viewers. */
export class Measuring {
  /** What control is told. */
  report: Report;
  readonly #parts: Measured;
  readonly #load: LoadMeter;
  readonly #publishers: PublisherWatch;
  readonly #plainViewers: PlainViewerWatch;
  readonly #relayMetrics: ReturnType<typeof registerRelayMetrics>;
  #timer: NodeJS.Timeout | undefined;
  #isMeasuring = false;

  constructor(parts: Measured) {
    const { registry, sessions, hub, cores, clock, logger } = parts;
    this.#parts = parts;
    this.#load = new LoadMeter(clock, parts.cpus);
    this.#publishers = new PublisherWatch({ sessions, logger, clock });
    this.#plainViewers = new PlainViewerWatch({ sessions, logger, clock });
    this.report = { at: clock.wall(), load: NO_LOAD, links: [], streams: [] };
    registerMetrics(registry, { sessions, hub, cores, load: this.#load, publishers: this.#publishers });
    this.#relayMetrics = registerRelayMetrics(registry);
  }

  start(): void {
    this.#timer = setInterval(() => void this.#tick(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A measurement that takes longer than a second is not overtaken by the next one. */
  async #tick(): Promise<void> {
    if (this.#isMeasuring) return;
    this.#isMeasuring = true;
    try {
      await this.#measure();
    } catch (err) {
      this.#parts.logger.warn({ err }, 'measuring failed');
    } finally {
      this.#isMeasuring = false;
    }
  }

  async #measure(): Promise<void> {
    const { hub, relay, cores, sessions, clock, problems, onMeasured } = this.#parts;
    const [cpuPercent] = await Promise.all([
      this.#load.sampleCpu(cores.pids),
      this.#load.sampleRates(sessions.all()),
      ...hub.published.map(({ origin }) => origin.measureRtt()),
    ]);
    const [links, stats] = await Promise.all([relay.links(), relay.stats()]);
    await Promise.all([this.#publishers.look(stats.ingests), this.#plainViewers.look()]);
    this.#relayMetrics.update(links, stats);
    this.report = buildReport({
      at: clock.wall(),
      cpuPercent,
      sessions,
      hub,
      links,
      carried: stats.streams,
      problems: problems(),
      silenceOf: (stream) => this.#publishers.silenceOf(stream),
    });
    await onMeasured();
  }
}
