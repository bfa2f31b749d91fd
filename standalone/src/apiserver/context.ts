import type { ServerResponse } from 'node:http';
import type { JsonObject, Schema } from '@millrace/api/validation';
import type { ResourceRequest } from './http/request.ts';
import type { Registry } from './registry.ts';
import type { ResourceType } from './resource-type.ts';
import type { Store } from './storage/store.ts';
import type { Target, WriteOptions, Writer, Written } from './write/writer.ts';

/** Watches that are open, so that closing the server can end them. */
export class OpenWatches {
  readonly #stops = new Set<() => void>();

  add(stop: () => void, response: ServerResponse): void {
    this.#stops.add(stop);
    response.on('close', () => this.#stops.delete(stop));
  }

  stopAll(): void {
    for (const stop of this.#stops) stop();
  }
}

export interface ApplyOptions extends WriteOptions {
  force: boolean;
  /** The fieldManager parameter as sent: server-side apply requires it. */
  manager: string | null;
}

/** The parts that request handlers work with. */
export interface ApiContext {
  store: Store;
  registry: Registry;
  writer: Writer;
  watches: OpenWatches;
  wall: () => number;
  apply: (target: Target, body: unknown, options: ApplyOptions) => Promise<Written>;
  strategicMerge: (document: JsonObject, patch: JsonObject, schema: Schema) => JsonObject;
  /** Kinds that are answered but not stored. */
  virtual: (type: ResourceType, call: ResourceRequest) => Promise<void>;
  /** Every subresource except status. */
  subresource: (target: Target, call: ResourceRequest) => Promise<void>;
}
