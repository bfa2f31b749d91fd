import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import type { PullSelection } from '../sdp/index.ts';
import type { Ending } from './ending.ts';

export type ViewerTransport = types.WebRtcTransport | types.PlainTransport;

export interface LayerState {
  track: number;
  /** Layers that the stream has. */
  spatialLayers: number;
  /** What is being sent; null: nothing yet. */
  current: { spatialLayer: number; temporalLayer?: number } | null;
  /** What was asked for; absent: the best. */
  preferred?: { spatialLayer: number; temporalLayer?: number };
}

interface ViewerEvents {
  closed: [reason: string, ending: Ending];
  /** The stream has stopped, and may go on in this session; or does so. */
  paused: [reason: string];
  resumed: [];
  layers: [];
  /** Preferred layers changed. */
  wish: [];
}

/** One viewer of a stream: its transport and one consumer for each track it plays. */
export class Viewer<Transport extends ViewerTransport = ViewerTransport> extends EventEmitter<ViewerEvents> {
  readonly transport: Transport;
  readonly consumers: ReadonlyMap<number, types.Consumer>;
  readonly selections: readonly PullSelection[];
  readonly #preferred = new Map<number, types.ConsumerLayers>();
  #closed = false;

  constructor(transport: Transport, consumers: Map<number, types.Consumer>, selections: readonly PullSelection[]) {
    super();
    this.transport = transport;
    this.consumers = consumers;
    this.selections = selections;
    for (const consumer of consumers.values()) consumer.on('layerschange', () => this.emit('layers'));
  }

  get closed(): boolean {
    return this.#closed;
  }

  plays(track: number): boolean {
    return this.consumers.get(track)?.closed === false;
  }

  preferredLayer(track: number): number | undefined {
    return this.#preferred.get(track)?.spatialLayer;
  }

  /** Stops what the viewer did not take. */
  keepOnly(tracks: readonly number[]): void {
    for (const [track, consumer] of this.consumers) if (!tracks.includes(track)) consumer.close();
  }

  layers(): LayerState[] {
    return [...this.consumers].flatMap(([track, consumer]) => {
      if (consumer.closed || (consumer.type !== 'simulcast' && consumer.type !== 'svc')) return [];
      const mode = /^[LS](\d)/.exec(consumer.rtpParameters.encodings?.[0]?.scalabilityMode ?? '');
      const preferred = this.#preferred.get(track);
      return [
        {
          track,
          spatialLayers: Number(mode?.[1] ?? 1),
          current: consumer.currentLayers ?? null,
          ...(preferred ? { preferred } : {}),
        },
      ];
    });
  }

  /** Upper bound for what is sent of the layered tracks; null: the best again. Single-layer tracks are left alone. */
  async prefer(wish: { track?: number; spatialLayer: number; temporalLayer?: number } | null): Promise<void> {
    for (const state of this.layers()) {
      if (wish?.track !== undefined && wish.track !== state.track) continue;
      const layers = wish
        ? { spatialLayer: wish.spatialLayer, ...(wish.temporalLayer !== undefined ? { temporalLayer: wish.temporalLayer } : {}) }
        : undefined;
      if (layers) this.#preferred.set(state.track, layers);
      else this.#preferred.delete(state.track);
      await this.consumers.get(state.track)?.setPreferredLayers(layers ?? { spatialLayer: state.spatialLayers - 1 });
    }
    this.emit('wish');
  }

  close(reason: string, ending: Ending = 'over'): void {
    if (this.#closed) return;
    this.#closed = true;
    this.transport.close();
    this.emit('closed', reason, ending);
  }
}
