import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { LinkReport, NodeSettings } from '@millrace/api';
import { hopTo } from '@millrace/api/trunk';
import type { Logger } from '@millrace/service';
import type { EgressRequest, IngestRequest, RelayEvent, RelayStats } from './commands.ts';
import { EgressHandle, IngestHandle } from './handles.ts';
import type { PublisherPortAddresses, PublisherPortRequest } from './publisher-port.ts';
import { runInProcess, runInThread, type RelayRunner } from './relay-runner.ts';

export interface RelayOptions {
  /** Where the trunks' socket listens: an IP address; `::` for all of both families, 0.0.0.0 for all of IPv4; port 0 picks a free one. */
  trunk: { host: string; port: number };
  logger: Logger;
  /** seed: of the node's key, base64. */
  self: { node: string; nodeKeySeed?: string };
  /** With `relay` among them the node forwards what others publish. */
  roles: readonly string[];
  /** False: in this thread. */
  thread?: boolean;
}

/** The part of a snapshot that concerns the relay. */
export type RelayConfiguration = Pick<NodeSettings, 'mesh' | 'peers' | 'probe'> &
  Partial<Pick<NodeSettings, 'relays' | 'tokenKeys' | 'self'>>;

/** The relay as the node's main thread sees it. Media itself never passes here. */
export class Relay extends EventEmitter<{ failed: [Error] }> {
  readonly #logger: Logger;
  readonly #roles: readonly string[];
  readonly #ingests = new Map<string, IngestHandle>();
  readonly #egresses = new Map<string, EgressHandle>();
  #runner: RelayRunner | undefined;

  /** Rejects when the port is taken or the thread does not start. After 'failed' nothing works any more: restart the node. */
  static async start(options: RelayOptions): Promise<Relay> {
    const relay = new Relay(options);
    const run = options.thread === false ? runInProcess : runInThread;
    relay.#runner = await run(
      { ...options.self, trunk: options.trunk },
      { onEvent: (event) => relay.#onEvent(event), onFailed: (error) => relay.#onFailed(error) },
    );
    return relay;
  }

  private constructor(options: RelayOptions) {
    super();
    this.#logger = options.logger;
    this.#roles = options.roles;
  }

  /** UDP port of the trunks. */
  get trunkPort(): number {
    return this.#running.trunkPort;
  }

  /** Applies a snapshot. Trunks to the nodes to probe, and to the relays that this node is attached to, stay up. */
  async configure(snapshot: RelayConfiguration): Promise<void> {
    const wanted = new Set([...snapshot.probe, ...(snapshot.relays ?? [])]);
    const peers = snapshot.peers.map(hopTo);
    const probe = peers.map(({ node }) => node).filter((node) => wanted.has(node));
    const { mesh, tokenKeys: authorities, self } = snapshot;
    const relays = this.#roles.includes('relay');
    await this.#running.call('configure', { relays, mesh, peers, probe, authorities, certificate: self?.certificate });
  }

  /** A publisher on this node. A later epoch of the same stream takes over from an earlier one. */
  async ingest(request: Omit<IngestRequest, 'id'>): Promise<IngestHandle> {
    const id = randomUUID();
    const address = await this.#running.call('ingest', { ...request, id });
    const ingest = new IngestHandle(this.#running, id, address);
    this.#ingests.set(id, ingest);
    ingest.once('closed', () => this.#ingests.delete(id));
    return ingest;
  }

  /** Opens the port of a plain RTP publisher. Close it with `closePublisherPort`. @throws Error when no port of the range is free */
  openPublisherPort(request: PublisherPortRequest): Promise<PublisherPortAddresses> {
    return this.#running.call('openPublisherPort', request);
  }

  closePublisherPort(id: string): Promise<void> {
    return this.#running.call('closePublisherPort', { id });
  }

  /** A pull on this node. Pulls of one stream share what comes over the trunk. */
  async egress(request: Omit<EgressRequest, 'id'>): Promise<EgressHandle> {
    const id = randomUUID();
    const egress = new EgressHandle(this.#running, id);
    this.#egresses.set(id, egress);
    egress.once('closed', () => this.#egresses.delete(id));
    try {
      await this.#running.call('egress', { ...request, id });
    } catch (error) {
      this.#egresses.delete(id);
      throw error;
    }
    return egress;
  }

  /** One for each trunk; rates are since the last call. */
  links(): Promise<LinkReport[]> {
    return this.#running.call('links', undefined);
  }

  stats(): Promise<RelayStats> {
    return this.#running.call('stats', undefined);
  }

  async close(): Promise<void> {
    await this.#running.stop();
  }

  get #running(): RelayRunner {
    if (!this.#runner) throw new Error('the relay has not started');
    return this.#runner;
  }

  #onEvent(event: RelayEvent): void {
    switch (event.type) {
      case 'warning':
        return this.#logger.warn(event.fields, event.message);
      case 'keyframe':
        this.#ingests.get(event.ingest)?.emit('keyframe', event.track, event.layer);
        return;
      case 'tracks':
        this.#ingests.get(event.ingest)?.emit('tracks', event.tracks);
        return;
      case 'description':
        this.#egresses.get(event.egress)?.emit('description', event.description);
        return;
      case 'path':
        this.#egresses.get(event.egress)?.emit('path', event.path);
        return;
      default:
        this.#egresses.get(event.egress)?.emit(event.type, event.reason);
    }
  }

  #onFailed(error: Error): void {
    this.#logger.error({ err: error }, 'the relay thread is gone');
    for (const egress of this.#egresses.values()) egress.emit('lost', `the relay thread is gone: ${error.message}`);
    this.emit('failed', error);
  }
}
