import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LinkReport } from '@millrace/api';
import type { Hop, TrackDescription } from '@millrace/api/trunk';
import type { UdpNetwork } from '@millrace/link-emulator';
import type { Attachment, SocketAddress } from '@millrace/media-node/relay';

export type RelayCall =
  | { do: 'peers'; peers: Hop[] }
  | { do: 'ingest'; stream: string; tracks: TrackDescription[] }
  | { do: 'egress'; stream: string; path: string[]; backup: string[]; attachments: (Attachment & { track: number })[] }
  | { do: 'reroute'; stream: string; path: string[]; backup: string[] }
  | { do: 'pathOf'; stream: string }
  | { do: 'links' };

type Answer = { id: number; value?: unknown; error?: string } | { keyframe: string } | { port: number };

const MESH = {
  name: 'fleet',
  kcp: { intervalMs: 10, fastResend: 2, sendWindow: 1024, receiveWindow: 1024, deadlineMs: 600 },
  fec: { mode: 'Off' as const, dataShards: 10, parityShards: 2 },
  rateCapMbps: 1000,
  probeIntervalMs: 1000,
  probeWindowMs: 5_000,
  fastReroute: { heartbeatMs: 40, sensitivity: 'Medium' as const },
};

/** Relays in separate processes whose trunks cross an emulated network. */
export class RelayFleet {
  readonly network: UdpNetwork;
  readonly #relays = new Map<string, RelayProcess>();

  /** `links` names the pairs of relays that know and probe each other. */
  static async start(
    names: readonly string[],
    links: readonly (readonly [string, string])[],
    network: UdpNetwork,
  ): Promise<RelayFleet> {
    const fleet = new RelayFleet(network);
    const mesh = { ...MESH, keys: [{ id: 'k', secret: randomBytes(32).toString('base64') }] };
    await Promise.all(names.map((name) => fleet.#start(name, mesh)));
    const peersOf = (name: string) => links.flatMap(([a, b]) => (a === name ? [b] : b === name ? [a] : []));
    await Promise.all(names.map((name) => fleet.call(name, { do: 'peers', peers: fleet.#peers(peersOf(name)) })));
    return fleet;
  }

  private constructor(network: UdpNetwork) {
    this.network = network;
  }

  /** Nodes with the addresses at which the others reach them. */
  #peers(names: readonly string[]): Hop[] {
    return names.map((node) => {
      const { proxy } = this.network.node(node);
      return { node, host: proxy.address, port: proxy.port };
    });
  }

  call(name: string, call: RelayCall): Promise<unknown> {
    return this.#relays.get(name)!.call(call);
  }

  async ingest(name: string, stream: string, tracks: TrackDescription[], onKeyframe: () => void): Promise<SocketAddress> {
    this.#relays.get(name)!.onKeyframe.set(stream, onKeyframe);
    return (await this.call(name, { do: 'ingest', stream, tracks })) as SocketAddress;
  }

  async pathOf(name: string, stream: string): Promise<string[]> {
    return (await this.call(name, { do: 'pathOf', stream })) as string[];
  }

  /** The reports of each relay on its trunks. */
  async links(): Promise<{ from: string; report: LinkReport }[]> {
    const reports = [...this.#relays.keys()].map(async (from) =>
      ((await this.call(from, { do: 'links' })) as LinkReport[]).map((report) => ({ from, report })),
    );
    return (await Promise.all(reports)).flat();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#relays.values()].map((relay) => relay.stop()));
    await this.network.close();
  }

  async #start(name: string, mesh: object): Promise<void> {
    const relay = new RelayProcess(name, mesh);
    this.#relays.set(name, relay);
    await this.network.addNode(name, { address: '127.0.0.1', port: await relay.port });
  }
}

class RelayProcess {
  readonly port: Promise<number>;
  readonly onKeyframe = new Map<string, () => void>();
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #name: string;
  #calls = 0;

  constructor(name: string, mesh: object) {
    this.#name = name;
    this.#child = fork(fileURLToPath(new URL('./relay-process.ts', import.meta.url)), [name, JSON.stringify(mesh)]);
    this.port = new Promise((resolve, reject) => {
      this.#child.on('message', (answer: Answer) => {
        if ('port' in answer) resolve(answer.port);
        else if ('keyframe' in answer) this.onKeyframe.get(answer.keyframe)?.();
        else this.#settle(answer);
      });
      this.#child.once('exit', (code, signal) => {
        const error = new Error(`relay ${name} ended with ${code ?? signal}`);
        reject(error);
        for (const { reject: fail } of this.#waiting.values()) fail(error);
      });
    });
  }

  call(call: RelayCall): Promise<unknown> {
    const id = this.#calls++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, call });
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #settle({ id, value, error }: { id: number; value?: unknown; error?: string }): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(`relay ${this.#name}: ${error}`));
  }
}
