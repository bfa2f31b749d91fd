import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import type { PullSelection } from '../sdp/index.ts';
import type { Ending } from './ending.ts';

export type ViewerTransport = types.WebRtcTransport | types.PlainTransport;

export interface LayerState {
  track: number;
  /** How many spatial layers the track has. */
  spatialLayers: number;
  /** The layers being sent; null before the first packet. */
  current: { spatialLayer: number; temporalLayer?: number } | null;
  /** The preferred layers; absent: the best. */
  preferred?: { spatialLayer: number; temporalLayer?: number };
}

interface ViewerEvents {
  closed: [reason: string, ending: Ending];
  /** The stream stopped; it may resume in this session. */
  paused: [reason: string];
  resumed: [];
  layers: [];
  /** The preferred layers changed. */
  preference: [];
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

  /** Closes the consumers of tracks that the viewer rejected. */
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

  /** Sets the highest layers to send of layered tracks; null: the best. Has no effect on tracks with a single layer. */
  async prefer(preferred: { track?: number; spatialLayer: number; temporalLayer?: number } | null): Promise<void> {
    for (const state of this.layers()) {
      if (preferred?.track !== undefined && preferred.track !== state.track) continue;
      const layers = preferred
        ? {
            spatialLayer: preferred.spatialLayer,
            ...(preferred.temporalLayer !== undefined ? { temporalLayer: preferred.temporalLayer } : {}),
          }
        : undefined;
      if (layers) this.#preferred.set(state.track, layers);
      else this.#preferred.delete(state.track);
      await this.consumers.get(state.track)?.setPreferredLayers(layers ?? { spatialLayer: state.spatialLayers - 1 });
    }
    this.emit('preference');
  }

  close(reason: string, ending: Ending = 'over'): void {
    if (this.#closed) return;
    this.#closed = true;
    this.transport.close();
    this.emit('closed', reason, ending);
  }
}
