import type { Clock, Logger, Timer } from '@millrace/service';
import type { DirectoryChange, StreamDirectory, StreamEntry } from './directory/index.ts';
import type { Fleet } from './fleet/index.ts';
import type { LiveStreams } from './streams/index.ts';

const PAGE = 500;
const RETRY_MS = 2000;

/** Updates fleet and live streams from the directory: from its changes, and by reading all of it when changes may have been missed. */
export class DirectoryFollower {
  readonly #options: { directory: StreamDirectory; fleet: Fleet; streams: LiveStreams; clock: Clock; logger: Logger };
  #reading = false;
  #again = false;
  #retry: Timer | undefined;
  #stopped = false;

  constructor(options: { directory: StreamDirectory; fleet: Fleet; streams: LiveStreams; clock: Clock; logger: Logger }) {
    this.#options = options;
    options.directory.watch((change) => this.#heard(change));
    // The pod of a deleted MediaNode is gone, so the names that it published are released at once.
    options.fleet.watch((change) => {
      if (change.type !== 'spec-gone') return;
      options.directory
        .dropNode(change.node)
        .catch((err: unknown) => options.logger.warn({ err, node: change.node }, 'its lease runs out instead'));
    });
  }

  /** Reads the whole directory. Keeps retrying in the background when that fails; resolves in either case. */
  async readAll(): Promise<void> {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    const { directory, fleet, streams, logger, clock } = this.#options;
    try {
      const entries: StreamEntry[] = [];
      let next: string | undefined;
      do {
        const page = await directory.list({ limit: PAGE, ...(next === undefined ? {} : { continue: next }) });
        entries.push(...page.items);
        next = page.continue;
      } while (next !== undefined);
      const presences = await directory.nodes();
      const present = new Set(presences.map((presence) => presence.node));
      for (const presence of presences) fleet.setPresence(presence);
      for (const { node } of [...fleet.presences()]) if (!present.has(node)) fleet.deletePresence(node);
      streams.replace(entries);
    } catch (err) {
      logger.warn({ err }, 'stream directory not read; keeping the last known state');
      if (!this.#stopped) this.#retry = clock.setTimeout(() => void this.readAll(), RETRY_MS);
    } finally {
      this.#reading = false;
    }
    if (this.#again && !this.#stopped) {
      this.#again = false;
      await this.readAll();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#options.clock.clearTimeout(this.#retry);
  }

  #heard(change: DirectoryChange): void {
    const { fleet, streams } = this.#options;
    switch (change.type) {
      case 'published':
        return streams.put(change.entry);
      case 'removed':
        return streams.remove(change.stream, change.epoch);
      case 'node':
        return fleet.setPresence(change.presence);
      case 'node-gone':
        return fleet.deletePresence(change.node);
      case 'resync':
        return void this.readAll();
    }
  }
}
