import { isWithin } from './paths.ts';
import type { StoreEvent, Stored } from './object-store.ts';

interface Item {
  line: Buffer;
  version: number;
}

/** The query of one watch. */
export interface WatchQuery {
  collection: string;
  /** The watch returns events after this version. */
  from: number;
  matches: (object: Stored) => boolean;
}

/**
 * The server side of one watch: it sends events as JSON lines, in order, until it ends. While `held` returns true, events are queued and
 * sent later (a lagging watch). After `silence`, no event is ever sent (a dead connection that neither end has detected).
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

  /** Sends a BOOKMARK event with the server's current version. */
  bookmark(version: number): void {
    const object = { metadata: { resourceVersion: `${version}` } };
    this.#add({ line: Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`), version });
  }

  /** Sends an ERROR event and ends the watch. */
  fail(code: number, reason: string): void {
    const object = { kind: 'Status', status: 'Failure', code, reason, message: reason };
    this.#add({ line: Buffer.from(`${JSON.stringify({ type: 'ERROR', object })}\n`), version: 0 });
    this.cut();
  }

  /** Sends the last events again, oldest first, as a client may receive them after it moved to another server. */
  repeat(): void {
    for (const item of this.#lastLines) this.#add(item);
  }

  /** Sends nothing any more, and keeps the connection open. */
  silence(): void {
    this.#silent = true;
  }

  /** Ends the watch after the queued events, unless they are held; with an error, ends it at once. */
  cut(error?: Error): void {
    if (this.#ended) return;
    this.#ended = { error };
    this.#onEnd();
    this.wake();
  }

  /** Checks `held` again. */
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

  /** An object that starts to match the selector is ADDED for the watcher, one that stops matching is DELETED. */
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
