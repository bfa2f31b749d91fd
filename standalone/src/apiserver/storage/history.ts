import type { KubeObject } from '../object.ts';
import { expired } from '../status.ts';

export interface StoreEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  revision: number;
  resource: string;
  object: KubeObject;
  /** The object before this event; undefined when it was added. */
  previous: KubeObject | undefined;
}
export interface HistoryLimits {
  events: number;
  /** As stored. */
  bytes: number;
  ageMs: number;
}
/** Maximum age, as of etcd under a kube-apiserver, which compacts it every five minutes (--etcd-compaction-interval). */
const defaults: HistoryLimits = { events: 10_000, bytes: 64 * 1024 * 1024, ageMs: 5 * 60_000 };

interface Entry {
  event: StoreEvent;
  bytes: number;
  atMs: number;
}

/** The last changes, for watches that resume and lists of an earlier revision. Bounded by number, bytes and age. */
export class History {
  readonly #limits: HistoryLimits;
  readonly #wall: () => number;
  #entries: Entry[] = [];
  #bytes = 0;
  #oldest: number;

  /** `revision` is that of the state before the first change. */
  constructor(revision: number, wall: () => number, limits: Partial<HistoryLimits> = {}) {
    this.#oldest = revision;
    this.#wall = wall;
    this.#limits = { ...defaults, ...limits };
  }

  add(event: StoreEvent, bytes: number): void {
    this.#entries.push({ event, bytes, atMs: this.#wall() });
    this.#bytes += bytes;
    this.#compact();
  }

  /** Changes of a resource after `revision`, oldest first. Throws 410 when the history does not reach back that far. */
  since(resource: string, revision: number): StoreEvent[] {
    if (revision < this.#oldest) throw expired(`too old resource version: ${revision} (${this.#oldest})`);
    return this.#entries.flatMap(({ event }) => (event.revision > revision && event.resource === resource ? [event] : []));
  }

  /** Drops excess or expired changes, a fifth of the history at a time, since each time copies the rest. */
  #compact(): void {
    const { events, bytes, ageMs } = this.#limits;
    const isYoung = (entry: Entry | undefined) => (entry?.atMs ?? 0) >= this.#wall() - ageMs;
    const slack = Math.ceil(this.#entries.length / 6);
    if (this.#entries.length <= events * 1.2 && this.#bytes <= bytes * 1.2 && isYoung(this.#entries[slack])) return;
    let dropped = 0;
    let dropping = this.#entries[dropped];
    while (dropping && (this.#entries.length - dropped > events || this.#bytes > bytes || !isYoung(dropping))) {
      this.#bytes -= dropping.bytes;
      this.#oldest = dropping.event.revision;
      dropping = this.#entries[++dropped];
    }
    this.#entries = this.#entries.slice(dropped);
  }
}
