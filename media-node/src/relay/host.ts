import { randomBytes } from 'node:crypto';
import { NodeCertificateVerifier, type MeshSettings } from '@millrace/api';
import { realClock } from '@millrace/service';
import { DEFAULT_TRUNK_SETTINGS, DgramIo, TRUNK_VERSION, TrunkEndpoint, type TrunkSettings } from '../trunk/index.ts';
import type { CommandAnswer, CommandArgument, RelayCommand, RelayEvent, RelaySettings } from './commands.ts';
import { PublisherPorts } from './publisher-port.ts';
import { RelayNode } from './relay-node.ts';
import { DgramRtpSockets } from './rtp-sockets.ts';

export interface RelayHostOptions {
  /** Name of this node. */
  node: string;
  /** Seed of the node's key, base64 (node-key.ts). Default: a random one. */
  nodeKeySeed?: string | undefined;
  /** An IP address; `::` for all of both families, 0.0.0.0 for all of IPv4; port 0 picks a free one. */
  trunk: { host: string; port: number };
}

type Handlers = { [C in RelayCommand]: (argument: CommandArgument<C>) => CommandAnswer<C> | Promise<CommandAnswer<C>> };

/** A relay with its sockets, driven by commands, in a worker thread or in the caller's. */
export class RelayHost {
  readonly trunkPort: number;
  readonly #endpoint: TrunkEndpoint;
  readonly #relay: RelayNode;
  readonly #handlers: Handlers;
  readonly #publisherPorts = new PublisherPorts(() => realClock.now());
  #mesh: string | undefined;
  #certification = '';

  static async start(options: RelayHostOptions, emit: (event: RelayEvent) => void): Promise<RelayHost> {
    return new RelayHost(options, await DgramIo.open(options.trunk), emit);
  }

  private constructor(options: RelayHostOptions, io: DgramIo, emit: (event: RelayEvent) => void) {
    this.trunkPort = io.local.port;
    const { asked, receive, send } = io.buffers;
    if (Math.min(receive, send) < asked) {
      const message = `the kernel gave the trunk socket smaller buffers than the ${asked} bytes asked for, so bursts may be lost: raise net.core.rmem_max and wmem_max`;
      emit({ type: 'warning', message, fields: { receiveBytes: receive, sendBytes: send } });
    }
    // A random key that no other node has: no trunk comes up before the mesh's keys are configured.
    const nobodysKey = { id: 'none', secret: randomBytes(32).toString('base64') };
    const { node, nodeKeySeed } = options;
    const self = { node, ...(nodeKeySeed === undefined ? {} : { seed: Buffer.from(nodeKeySeed, 'base64') }) };
    this.#endpoint = new TrunkEndpoint({ io, self, keys: [nobodysKey] });
    const warn = (error: Error) => emit({ type: 'warning', message: error.message, fields: {} });
    this.#endpoint.on('trunk', (trunk) => {
      trunk.on('refused', ({ lowest, highest }) => {
        const theirs = lowest === highest ? `version ${lowest}` : `versions ${lowest} to ${highest}`;
        const message = `${trunk.peer} speaks ${theirs} of the trunk protocol, this node ${TRUNK_VERSION}: update the older of the two`;
        warn(new Error(message));
      });
      trunk.on('unreachable', (hosts) => {
        const message = `no trunk to ${trunk.peer}: none of its hosts (${hosts.join(', ')}) has an address that this node can send to from ${io.local.address}; give both nodes an address of one family, IPv4 or IPv6, and names that resolve`;
        warn(new Error(message));
      });
    });
    this.#relay = new RelayNode({
      node: options.node,
      trunks: this.#endpoint,
      sockets: new DgramRtpSockets(warn),
      clock: realClock,
      random: Math.random,
      emit,
    });
    this.#handlers = this.#makeHandlers(this.#relay);
  }

  run<C extends RelayCommand>(command: C, argument: CommandArgument<C>): CommandAnswer<C> | Promise<CommandAnswer<C>> {
    const handler = this.#handlers[command] as
      ((argument: CommandArgument<C>) => CommandAnswer<C> | Promise<CommandAnswer<C>>) | undefined;
    if (!handler) throw new Error(`relay command ${command} is unknown`);
    return handler(argument);
  }

  #makeHandlers(relay: RelayNode): Handlers {
    return {
      configure: (settings) => this.#configure(settings),
      ingest: (request) => relay.ingest(request),
      openPublisherPort: (request) => this.#publisherPorts.open(request),
      closePublisherPort: ({ id }) => this.#publisherPorts.close(id),
      setSources: ({ id, sources }) => relay.setSources(id, sources),
      setLimit: ({ id, maxKbps }) => relay.setLimit(id, maxKbps),
      setRtt: ({ id, rttMs }) => relay.setRtt(id, rttMs),
      setGrant: ({ id, grant }) => relay.setGrant(id, grant),
      ingestStats: ({ id }) => relay.ingestStats(id),
      closeIngest: ({ id, reason }) => relay.closeIngest(id, reason),
      egress: (request) => relay.egress(request),
      attach: ({ id, track, attachment }) => relay.attach(id, track, attachment),
      detach: ({ id, track, to, ssrc }) => relay.detach(id, track, to, ssrc),
      setLayers: ({ id, track, mask }) => relay.setLayers(id, track, mask),
      requestKeyframe: ({ id, track, layer }) => relay.requestKeyframe(id, track, layer),
      reroute: ({ id, ...route }) => relay.reroute(id, route),
      egressStats: ({ id }) => relay.egressStats(id),
      closeEgress: ({ id }) => relay.closeEgress(id),
      links: () => relay.links(),
      stats: () => ({ ...relay.stats(), refusedDatagrams: { ...this.#endpoint.drops } }),
      close: () => this.#close(),
    };
  }

  #configure(settings: RelaySettings): void {
    const { mesh, certificate, authorities } = settings;
    const certification = JSON.stringify([certificate, authorities]);
    if (certification !== this.#certification) {
      this.#certification = certification;
      this.#endpoint.configure({
        certification: {
          certificate: certificate === undefined ? undefined : Buffer.from(certificate, 'base64'),
          authorities: authorities && new NodeCertificateVerifier(authorities),
        },
      });
    }
    // Snapshots are frequent and mostly unchanged: skip reconfiguring the trunks.
    const asText = JSON.stringify(mesh);
    if (mesh && mesh.keys.length > 0 && asText !== this.#mesh) {
      this.#mesh = asText;
      this.#endpoint.configure({ keys: mesh.keys, settings: trunkSettingsOf(mesh) });
    }
    this.#relay.configure(settings);
  }

  async #close(): Promise<void> {
    this.#relay.close();
    this.#publisherPorts.closeAll();
    await this.#endpoint.close();
  }
}

function trunkSettingsOf(mesh: MeshSettings): TrunkSettings {
  const { kcp, fec, rateCapMbps, probeIntervalMs, fastReroute } = mesh;
  return {
    ...DEFAULT_TRUNK_SETTINGS,
    kcp,
    fec: fec.mode === 'Fixed' ? { mode: 'Fixed', dataShards: fec.dataShards, parityShards: fec.parityShards } : { mode: 'Off' },
    rateCapMbps,
    probeIntervalMs,
    fastReroute,
  };
}
