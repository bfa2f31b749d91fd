import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../object.ts';
import type { ResourceType } from '../resource-type.ts';
import { apiVersionOf } from '../resource-type.ts';
import type { StatusError } from '../status.ts';
import type { StoreEvent } from '../storage/store.ts';
import { shownAs } from './read.ts';

/** How one object is encoded in an event (plain, Table or partial metadata). */
export type Render = (object: KubeObject, isFirst: boolean) => object;

export interface WatchLimits {
  /** Maximum number of changes that may wait for the client. */
  behind: number;
  /** Maximum time in which the client reads nothing while events wait, ms. */
  stallMs: number;
}
const defaults: WatchLimits = { behind: 1_000, stallMs: 30_000 };

type Line = { type: StoreEvent['type']; object: KubeObject } | { bookmark: number; endsInitial: boolean };

/**
 * Writes events as lines, as fast as the client reads. Waiting events are not serialized yet: they are only references to objects that the
 * store or its history hold anyway. A client that falls too far behind, or reads nothing for too long, is disconnected and must list again, as
 * kube-apiserver's watch cache does with slow watchers.
 */
export class WatchStream {
  readonly #type: ResourceType;
  readonly #response: ServerResponse;
  readonly #render: Render;
  readonly #limits: WatchLimits;
  #waiting: Line[] = [];
  #changesWaiting = 0;
  #sent = 0;
  #stall: NodeJS.Timeout | undefined;
  #isEnding = false;

  constructor(type: ResourceType, response: ServerResponse, render: Render, limits: Partial<WatchLimits> = {}) {
    this.#type = type;
    this.#response = response;
    this.#render = render;
    this.#limits = { ...defaults, ...limits };
    response.on('close', () => this.#drop());
    response.on('error', () => this.#drop());
  }

  /** Writes the initial state, which may have any size. */
  begin(events: readonly { type: StoreEvent['type']; object: KubeObject }[]): void {
    for (const event of events) this.#waiting.push(event);
    this.#write();
  }

  change(type: StoreEvent['type'], object: KubeObject): void {
    if (this.#response.destroyed || this.#isEnding) return;
    if (this.#stall && ++this.#changesWaiting > this.#limits.behind) return this.#cut();
    this.#waiting.push({ type, object });
    this.#write();
  }

  bookmark(revision: number, endsInitial = false): void {
    this.#waiting.push({ bookmark: revision, endsInitial });
    this.#write();
  }

  /** Ends the watch with an error: as an event once the watch has begun. */
  fail(error: StatusError): void {
    this.#response.end(`${JSON.stringify({ type: 'ERROR', object: error.toJSON() })}\n`);
  }

  /** Ends the watch after the waiting events. */
  end(): void {
    this.#isEnding = true;
    if (!this.#stall) this.#response.end();
  }

  #write(): void {
    if (this.#stall) return;
    for (const [index, line] of this.#waiting.entries()) {
      if (this.#response.destroyed) return this.#drop();
      if (this.#response.write(`${JSON.stringify(this.#shown(line))}\n`)) continue;
      this.#waiting = this.#waiting.slice(index + 1);
      this.#stall = setTimeout(() => this.#cut(), this.#limits.stallMs);
      this.#response.once('drain', () => this.#goOn());
      return;
    }
    this.#waiting = [];
  }

  #goOn(): void {
    clearTimeout(this.#stall);
    this.#stall = undefined;
    this.#changesWaiting = 0;
    this.#write();
    if (this.#isEnding && !this.#stall) this.#response.end();
  }

  #shown(line: Line): object {
    if ('type' in line) return { type: line.type, object: this.#render(shownAs(this.#type, line.object), this.#sent++ === 0) };
    const annotations = line.endsInitial ? { 'k8s.io/initial-events-end': 'true' } : undefined;
    const metadata = { resourceVersion: String(line.bookmark), creationTimestamp: null, annotations };
    return { type: 'BOOKMARK', object: { kind: this.#type.kind, apiVersion: apiVersionOf(this.#type), metadata } };
  }

  #cut(): void {
    this.#response.destroy();
    this.#drop();
  }

  #drop(): void {
    clearTimeout(this.#stall);
    this.#waiting = [];
  }
}
