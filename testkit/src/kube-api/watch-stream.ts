import { isWithin } from './paths.ts';
import type { StoreEvent, Stored } from './object-store.ts';

interface Item {
  line: Buffer;
  version: number;
}

/** What one watch asks for. */
export interface WatchQuery {
  collection: string;
  /** Events after this version. */
  from: number;
  matches: (object: Stored) => boolean;
}

/**
 * The server's end of one watch: events as JSON lines, in order, until it is ended. While `held` says so nothing leaves, and what
 * happens meanwhile is told later (a late watch) or, once it was made silent, never (a connection of which neither end knows that it is dead).
 */
export class WatchStream {
  readonly query: WatchQuery;
  readonly #held: () => boolean;
  readonly #items: Item[] = [];
  readonly #onEnd: () => void;
  #wake: (() => void) | undefined;
  #silent = false;
  #ended: { error: Error | undefined } | undefined;
  #lastLines: Item[] = [];

  constructor(query: WatchQuery, held: () => boolean, onEnd: () => void) {
    this.query = query;
    this.#held = held;
    this.#onEnd = onEnd;
  }

  push(event: StoreEvent): void {
    if (event.version <= this.query.from || !isWithin(event.where, this.query.collection)) return;
    const type = this.#typeFor(event);
    if (!type) return;
    const line = Buffer.from(`${JSON.stringify({ type, object: event.object })}\n`);
    const item = { line, version: event.version };
    this.#lastLines = [...this.#lastLines.slice(-4), item];
    this.#add(item);
  }

  /** No event, only how far the server is. */
  bookmark(version: number): void {
    const object = { metadata: { resourceVersion: `${version}` } };
    this.#add({ line: Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`), version });
  }

  /** An ERROR event, after which the server ends the watch. */
  fail(code: number, reason: string): void {
    const object = { kind: 'Status', status: 'Failure', code, reason, message: reason };
    this.#add({ line: Buffer.from(`${JSON.stringify({ type: 'ERROR', object })}\n`), version: 0 });
    this.cut();
  }

  /** The last events once more, oldest first: what a client may get that was moved to another server. */
  repeat(): void {
    for (const item of this.#lastLines) this.#add(item);
  }

  /** Nothing leaves ever again, and the connection stays open. */
  silence(): void {
    this.#silent = true;
  }

  /** Ends it after what was told already, if that may leave; with an error at once. */
  cut(error?: Error): void {
    if (this.#ended) return;
    this.#ended = { error };
    this.#onEnd();
    this.wake();
  }

  /** What holds it back may have changed. */
  wake(): void {
    this.#wake?.();
  }

  async *lines(): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        if (this.#ended?.error) throw this.#ended.error;
        const mayLeave = !this.#held() && !this.#silent;
        const next = mayLeave ? this.#items.shift() : undefined;
        if (next) yield next.line;
        else if (this.#ended) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.cut();
    }
  }

  /** An object that begins to match is new to the watcher, one that ceases to is gone. */
  #typeFor({ type, object, previous }: StoreEvent): string | undefined {
    const [was, is] = [previous !== undefined && this.query.matches(previous), this.query.matches(object)];
    if (type === 'DELETED') return was ? type : undefined;
    if (is) return was ? 'MODIFIED' : 'ADDED';
    return was ? 'DELETED' : undefined;
  }

  #add(item: Item): void {
    if (this.#ended || this.#silent) return;
    this.#items.push(item);
    this.wake();
  }
}
