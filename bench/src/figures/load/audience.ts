import type { PlacementResponse } from '@millrace/api';
import type { TestNetwork } from '@millrace/testbed/network';
import { delay } from '../../figure.ts';
import { closeSession, openSession, type PlainSession } from '@millrace/testkit/media';
import { CRYPTO_SUITE, newSrtpKey } from '../../media/srtp.ts';
import { startAudienceSink, type AudienceReport, type AudienceSink } from './audience-sink.ts';

/** Packets of an ended session may still be in flight. */
const LAST_PACKETS_MS = 500;
/** A node accepts 50 new sessions per second from one address; there are two pull nodes. */
const BETWEEN_JOINS_MS = 25;

interface Viewer {
  readonly place: PlacementResponse;
  readonly session: PlainSession;
  /** Local port. */
  readonly from: number;
  readonly stream: number;
}

/** Plain RTP viewers with SRTP that join and leave. Each requests a placement from the app backend, as a page does. */
export class Audience {
  readonly #network: TestNetwork;
  readonly #sink: AudienceSink;
  readonly #streams: readonly string[];
  readonly #regions: readonly string[];
  readonly #viewers: Viewer[] = [];
  /** The desired number of viewers. */
  #wanted = 0;
  #opened = 0;
  /** Counts since the measurement started. */
  readonly counts = { joined: 0, left: 0, failed: 0 };
  /** The number of failed joins by reason. */
  readonly failures = new Map<string, number>();

  static async open(network: TestNetwork, streams: readonly string[], regions: readonly string[]): Promise<Audience> {
    return new Audience(network, await startAudienceSink(), streams, regions);
  }

  private constructor(network: TestNetwork, sink: AudienceSink, streams: readonly string[], regions: readonly string[]) {
    this.#network = network;
    this.#sink = sink;
    this.#streams = streams;
    this.#regions = regions;
  }

  get lastFailure(): string {
    return [...this.failures.keys()].at(-1) ?? 'none';
  }

  get size(): number {
    return this.#viewers.length;
  }

  /** The desired number of viewers, including replacements that have not joined yet. */
  get wanted(): number {
    return this.#wanted;
  }

  report(): Promise<AudienceReport> {
    return this.#sink.report();
  }

  async grow(by: number): Promise<void> {
    this.#wanted = this.#viewers.length + by;
    for (let i = 0; i < by; i++) {
      await this.#join();
      await delay(BETWEEN_JOINS_MS);
    }
  }

  async shrinkTo(size: number): Promise<void> {
    this.#wanted = size;
    while (this.#viewers.length > size) await this.#leave(this.#viewers.shift()!);
  }

  /** Until the signal aborts, replaces this share of the viewers each second, the oldest first. */
  async comeAndGo(share: number, signal: AbortSignal): Promise<void> {
    const going = new Set<Promise<void>>();
    let nextMs = performance.now();
    while (!signal.aborted) {
      nextMs += 1_000 / this.changesPerSecond(share);
      await delay(Math.max(1, nextMs - performance.now()));
      if (signal.aborted) break;
      const change = this.#change().finally(() => going.delete(change));
      going.add(change);
    }
    await Promise.all(going);
  }

  changesPerSecond(share: number): number {
    return Math.max(0.1, this.#wanted * share);
  }

  startCounting(): void {
    Object.assign(this.counts, { joined: 0, left: 0, failed: 0 });
    this.failures.clear();
    this.#sink.resetCounts();
  }

  async stop(): Promise<void> {
    await this.shrinkTo(0);
    await this.#sink.stop();
  }

  async #change(): Promise<void> {
    const first = this.#viewers.length >= this.#wanted ? this.#viewers.shift() : undefined;
    if (first) await this.#leave(first);
    if (this.#viewers.length < this.#wanted) await this.#join();
  }

  async #join(): Promise<void> {
    const turn = this.#opened++;
    const stream = turn % this.#streams.length;
    const region = this.#regions[Math.floor(turn / this.#streams.length) % this.#regions.length]!;
    try {
      const place = await this.#network.place('pull', this.#streams[stream]!, region);
      const from = this.#sink.ports[turn % this.#sink.ports.length]!;
      const srtp = { cryptoSuite: CRYPTO_SUITE, keyBase64: newSrtpKey() };
      const session = await openSession(place, 'pull', { address: { ip: '127.0.0.1', port: from }, srtp });
      this.#sink.join({ from, ip: session.ip, port: session.port });
      this.#sink.expect(session.ssrc!, stream);
      this.#viewers.push({ place, session, from, stream });
      this.counts.joined += 1;
    } catch (error) {
      this.counts.failed += 1;
      const why = (error instanceof Error ? error.message : String(error)).slice(0, 300);
      this.failures.set(why, (this.failures.get(why) ?? 0) + 1);
    }
  }

  async #leave({ place, session, from, stream }: Viewer): Promise<void> {
    this.#sink.leave({ from, ip: session.ip, port: session.port });
    await closeSession(place, session);
    this.counts.left += 1;
    setTimeout(() => this.#sink.forget(session.ssrc!, stream), LAST_PACKETS_MS);
  }
}
