import type { Candidate, PlacementSource } from './placement.ts';
import type { Connection } from './connection.ts';
import { Session } from './session.ts';
import type { SessionResource } from './signaling.ts';
import type { PublisherStats } from './stats.ts';
import { publisherStats } from './stats.ts';

export interface PublisherOptions {
  /** Where to push; see `PlacementSource`. */
  readonly placement: PlacementSource;
  readonly media: MediaStream;
  /** Preferred video codecs, best first, as MIME types (`video/H264`). Default: the browser's order. */
  readonly codecs?: readonly string[];
  /** Simulcast layers, lowest first; for VP9 and AV1 nodes use only the last one. Default: one layer. */
  readonly layers?: readonly { readonly scaleDownBy: number; readonly maxBitrateBps: number }[];
}

/** What the node concludes from the packets that it gets. */
export interface PublisherHealth {
  readonly state:
    'Connecting' | 'Receiving' | 'WaitingForKeyframe' | 'NoKnownSsrc' | 'UnknownPayloadType' | 'Unreadable' | 'Silent';
  /** When the state began, ms since the Unix epoch by the node's clock. */
  readonly since: number;
  /** What is wrong and what to do about it; absent when nothing is. */
  readonly detail?: string;
}

export type PublisherEvents = {
  /** What is sent has begun or ceased to be of use to viewers. */
  health: PublisherHealth;
};

/** Pushes a MediaStream (WHIP, RFC 9725). */
export class Publisher extends Session<PublisherEvents> {
  readonly #options: PublisherOptions;
  #health: PublisherHealth | undefined;

  constructor(options: PublisherOptions) {
    super(options.placement);
    this.#options = options;
  }

  /** As the node said last; undefined before it has said so. */
  get health(): PublisherHealth | undefined {
    return this.#health;
  }

  /** What is sent now; undefined while there is no connection. */
  async stats(): Promise<PublisherStats | undefined> {
    return this.connection && publisherStats(await this.connection.peer.getStats());
  }

  /** Replaces the sent track of the same kind, without renegotiation. */
  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    const sender = this.connection?.peer.getSenders().find((candidate) => candidate.track?.kind === track.kind);
    await sender?.replaceTrack(track);
  }

  protected override prepare(peer: RTCPeerConnection, _candidate: Candidate): void {
    for (const track of this.#options.media.getTracks()) {
      const transceiver = peer.addTransceiver(track, {
        direction: 'sendonly',
        streams: [this.#options.media],
        ...(track.kind === 'video' && this.#options.layers ? { sendEncodings: this.#encodings(this.#options.layers) } : {}),
      });
      if (track.kind === 'video' && this.#options.codecs) preferCodecs(transceiver, this.#options.codecs);
    }
  }

  /** The new session takes the name over from the previous one, which its node may still count as live. */
  protected override entry(candidate: Candidate, last: SessionResource | undefined): Candidate {
    if (!last) return candidate;
    const url = new URL(candidate.url);
    url.searchParams.set('replaces', new URL(last.url).pathname.split('/').at(-1) ?? '');
    return { ...candidate, url: url.href };
  }

  /** Otherwise two publishers that both reconnect would take the name from each other forever. */
  protected override nodeSaid(event: string, detail: unknown): void {
    if (event === 'publisher') this.emit('health', (this.#health = detail as PublisherHealth));
    const { reason, final } = detail as { reason?: string; final?: boolean };
    if (event === 'ended' && final) void this.close(new Error(reason ?? 'another publisher has the name'));
  }

  protected override connected(_connection: Connection): void {
    // Media flows as soon as the transport does; there is nothing to hand over.
  }

  #encodings(layers: NonNullable<PublisherOptions['layers']>): RTCRtpEncodingParameters[] {
    // Without scalabilityMode Chromium sends layers of these codecs as one SVC stream. Other browsers ignore it.
    const first = this.#options.codecs?.[0]?.toLowerCase();
    const isScalable = layers.length > 1 && (first === 'video/vp9' || first === 'video/av1');
    return layers.map((layer, i) => ({
      ...(isScalable ? { scalabilityMode: 'L1T3' } : {}),
      rid: `r${i}`,
      scaleResolutionDownBy: layer.scaleDownBy,
      maxBitrate: layer.maxBitrateBps,
    }));
  }
}

function preferCodecs(transceiver: RTCRtpTransceiver, wanted: readonly string[]): void {
  const known = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  const rank = (codec: { mimeType: string }) => {
    const at = wanted.findIndex((mime) => mime.toLowerCase() === codec.mimeType.toLowerCase());
    return at < 0 ? wanted.length : at;
  };
  transceiver.setCodecPreferences([...known].sort((x, y) => rank(x) - rank(y)));
}
