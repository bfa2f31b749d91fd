import type { Clock, Timer } from '@millrace/service';
import type { Fleet } from '../fleet/index.ts';
import type { Candidate } from '../scheduler/index.ts';
import type { LiveStreams } from '../streams/index.ts';
import { chooseHolders } from './plan.ts';

/** Delay before a plan, ms, so that a burst of streams causes only one. */
const COALESCE_MS = 20;
/** Interval of plans without a change of streams, ms: nodes come, fill up and go. */
const JUDGE_MS = 1000;

export interface PrewarmOptions {
  fleet: Fleet;
  streams: LiveStreams;
  clock: Clock;
  /** Makes these nodes, and no others, hold the stream. */
  hold: (stream: string, nodes: ReadonlySet<string>) => void;
}

/** Keeps streams in the regions that their StreamRoute prewarms, so that the first viewer there does not wait for the path. */
export class Prewarm {
  readonly #options: PrewarmOptions;
  /** Holders of each live stream that has regions to prewarm. */
  readonly #holders = new Map<string, ReadonlySet<string>>();
  readonly #dirty = new Set<string>();
  #soon: Timer | undefined;
  #regular: Timer | undefined;

  constructor(options: PrewarmOptions) {
    this.#options = options;
    options.streams.watch(({ stream, entry, rule }) => {
      if (entry && rule?.prewarmRegions) this.#judgeSoon(stream);
      else this.#forget(stream);
    });
  }

  start(): void {
    this.#regular ??= this.#options.clock.setTimeout(() => {
      this.#regular = undefined;
      this.#judge(this.#holders.keys());
      this.start();
    }, JUDGE_MS);
  }

  stop(): void {
    this.#options.clock.clearTimeout(this.#regular);
    this.#options.clock.clearTimeout(this.#soon);
  }

  #judgeSoon(stream: string): void {
    this.#dirty.add(stream);
    this.#soon ??= this.#options.clock.setTimeout(() => {
      this.#soon = undefined;
      this.#judge(this.#dirty);
      this.#dirty.clear();
    }, COALESCE_MS);
  }

  #forget(stream: string): void {
    this.#dirty.delete(stream);
    if (this.#holders.delete(stream)) this.#options.hold(stream, new Set());
  }

  #judge(streams: Iterable<string>): void {
    const { fleet, streams: live, hold } = this.#options;
    let byRegion: Map<string, Candidate[]> | undefined;
    for (const stream of [...streams]) {
      const entry = live.get(stream);
      const rule = live.ruleOf(stream);
      if (!entry || !rule?.prewarmRegions) continue;
      byRegion ??= Map.groupBy(fleet.candidates(stream), ({ region }) => region);
      const current = this.#holders.get(stream) ?? new Set();
      const chosen = new Set<string>();
      for (const region of rule.prewarmRegions) {
        // The origin carries the stream anyway.
        const candidates = (byRegion.get(region) ?? []).filter(({ node }) => node !== entry.node);
        for (const node of chooseHolders({ stream, candidates, carriers: fleet.carriers(stream), current })) chosen.add(node);
      }
      this.#holders.set(stream, chosen);
      if (chosen.size !== current.size || [...chosen].some((node) => !current.has(node))) hold(stream, chosen);
    }
  }
}
