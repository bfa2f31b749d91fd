import { EventEmitter } from 'node:events';
import type { TrackDescription } from '@millrace/api';
import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';
import { relayedExtensions, type PushTrack } from '../sdp/index.ts';
import { checkCarried } from './carried-tracks.ts';
import { LISTEN_ON_LOOPBACK, type MediaCore } from './cores.ts';
import { orWorkerLost, WORKER_DIED, type Ending } from './ending.ts';
import type { IngestHandle } from '../relay/index.ts';
import { codecCapabilities, producedCodec } from './router-codecs.ts';

/** The transport on which a publisher's packets arrive. */
export type PublisherTransport = types.WebRtcTransport | types.PlainTransport;

interface OriginEvents {
  /** The relay thread measured the order of a track's layers. */
  tracks: [TrackDescription[]];
  closed: [reason: string, ending: Ending];
}

/**
 * A stream published on this node. Its packets enter a router that no other stream uses. Each track leaves the router through exactly one pipe consumer, with
 * all layers and one numbering for the whole network, over loopback to the relay thread.
 */
export class Origin<Transport extends PublisherTransport = PublisherTransport> extends EventEmitter<OriginEvents> {
  readonly core: MediaCore;
  readonly transport: Transport;
  #tracks: TrackDescription[];
  /** `sprop-parameter-sets` by track. The gate inserts them into the stream, so that no receiver needs them out of band. */
  readonly parameterSets: Record<number, string>;
  readonly #router: types.Router;
  readonly #egress: types.PlainTransport;
  /** By track. */
  readonly #feeds: TrackFeed[];
  #ingest: IngestHandle | undefined;
  #closed = false;
  /** Serializes the replacement of feeds. */
  #rebinding: Promise<unknown> = Promise.resolve();

  private constructor(
    core: MediaCore,
    router: types.Router,
    transport: Transport,
    egress: types.PlainTransport,
    feeds: readonly TrackFeed[],
    tracks: TrackDescription[],
  ) {
    super();
    this.core = core;
    this.transport = transport;
    this.#router = router;
    this.#egress = egress;
    this.#feeds = [...feeds];
    this.#tracks = tracks;
    this.parameterSets = Object.fromEntries(
      feeds.flatMap(({ source }, track) => {
        const sprop = parameterSetsOf(source);
        return sprop === undefined ? [] : [[track, sprop]];
      }),
    );
    router.once('workerclose', () => this.close(WORKER_DIED, 'displaced'));
  }

  /** On an error, everything that was opened is closed. @throws Problem 400 when the worker refuses the parameters, 503 when it died */
  static async open<T extends PublisherTransport>(
    core: MediaCore,
    published: readonly PushTrack[],
    createTransport: (router: types.Router) => Promise<T>,
  ): Promise<Origin<T>> {
    const router = await core.worker
      .createRouter()
      .catch((error: unknown) => Promise.reject(orWorkerLost(core.worker, error) as Error));
    try {
      const transport = await createTransport(router);
      const egress = await router.createPlainTransport({
        listenInfo: LISTEN_ON_LOOPBACK,
        rtcpMux: true,
      });
      const feeds: TrackFeed[] = [];
      for (const source of published) feeds.push(await feedTrack(router, transport, egress, source));
      if (router.closed) throw new Error('the router is closed');
      const tracks = feeds.map(describe);
      checkCarried(tracks);
      return new Origin(core, router, transport, egress, feeds, tracks);
    } catch (error) {
      const explained = refusal(orWorkerLost(core.worker, error));
      router.close();
      throw explained;
    }
  }

  /** Starts sending packets to the relay thread, and its keyframe requests to the publisher. */
  async feed(ingest: IngestHandle): Promise<void> {
    this.#ingest = ingest;
    ingest.on('keyframe', (track) => {
      const consumer = this.#feeds[track]?.consumer;
      if (consumer && !consumer.closed) consumer.requestKeyFrame().catch(() => undefined);
    });
    ingest.on('tracks', (tracks) => {
      this.#tracks = tracks;
      this.emit('tracks', tracks);
    });
    await this.#egress.connect({ ip: ingest.address.ip, port: ingest.address.port });
  }

  /** The loopback address from which the worker sends packets to the relay thread. */
  get feedsFrom(): { ip: string; port: number } {
    return { ip: '127.0.0.1', port: this.#egress.tuple.localPort };
  }

  /** Control has signed the grant of this epoch with another key. */
  renewGrant(grant: string): void {
    this.#ingest?.setGrant(grant).catch(() => undefined);
  }

  /** Limits the publisher's bit rate in kbps: asks for it (REMB), and withholds what is beyond it at the gate. undefined: only the network limits it. */
  async limit(maxKbps: number | undefined): Promise<void> {
    await Promise.all([
      this.transport.closed ? undefined : this.transport.setMaxIncomingBitrate((maxKbps ?? 0) * 1000),
      this.#ingest?.setLimit(maxKbps),
    ]);
  }

  /** The stream's tracks. Layers are in order of quality, lowest first, as far as that is known. */
  get tracks(): TrackDescription[] {
    return this.#tracks;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The publisher's round-trip time in ms; undefined before the first report. Also passed to the gate, whose wait for missing audio packets depends on it. */
  async measureRtt(): Promise<number | undefined> {
    const producers = this.#feeds.map(({ producer }) => producer);
    const producer = producers.find(({ kind }) => kind === 'audio') ?? producers[0];
    const stats = producer && !producer.closed ? await producer.getStats() : [];
    const rtts = stats.flatMap((stat) => (stat.roundTripTime ? [stat.roundTripTime] : []));
    const rttMs = rtts.length > 0 ? Math.max(...rtts) : undefined;
    if (rttMs !== undefined) await this.#ingest?.setRtt(rttMs);
    return rttMs;
  }

  /** The tracks with the encodings by which the worker identifies their packets. `rebind` changes them. */
  get sources(): readonly PushTrack[] {
    return this.#feeds.map(({ source }) => source);
  }

  /** Identifies this publisher in the relay's statistics; undefined until `feed`. */
  get ingestId(): string | undefined {
    return this.#ingest?.id;
  }

  /** Packets that the worker assigned to this track since its producer was created, by SSRC. */
  async receivedPackets(track: number): Promise<{ ssrc: number; packets: number }[]> {
    const producer = this.#feeds[track]?.producer;
    const stats = producer && !producer.closed ? await producer.getStats() : [];
    return stats.map(({ ssrc, packetCount }) => ({ ssrc, packets: packetCount }));
  }

  /**
   * Accepts a track's packets under other SSRCs from now on. Replaces the producer; the gate and the numbering continue.
   * @throws Error when the worker refuses the encodings; the track is then unchanged
   */
  rebind(track: number, encodings: types.RtpEncodingParameters[]): Promise<void> {
    const rebound = this.#rebinding.then(() => this.#rebind(track, encodings));
    this.#rebinding = rebound.catch(() => undefined);
    return rebound;
  }

  close(reason: string, ending: Ending = 'over'): void {
    if (this.#closed) return;
    this.#closed = true;
    // Ignore errors: the relay thread may have stopped already.
    this.#ingest?.close(reason).catch(() => undefined);
    this.#router.close();
    this.emit('closed', reason, ending);
  }

  async #rebind(track: number, encodings: types.RtpEncodingParameters[]): Promise<void> {
    const before = this.#feeds[track];
    if (!before || this.#closed) return;
    const { source } = before;
    before.producer.close();
    try {
      await this.#replace(track, { ...source, rtpParameters: { ...source.rtpParameters, encodings } });
    } catch (error) {
      await this.#replace(track, source);
      throw error;
    }
  }

  async #replace(track: number, source: PushTrack): Promise<void> {
    const feed = await feedTrack(this.#router, this.transport, this.#egress, source, true);
    this.#feeds[track] = feed;
    const encodings = feed.consumer.rtpParameters.encodings ?? [];
    await this.#ingest?.setSources(encodings.map(({ ssrc }, layer) => ({ track, layer, ssrc: ssrc! })));
    await feed.consumer.resume();
  }
}

/** The worker's refusal of parameters that passed the node's own checks, e.g. an SSRC that two tracks share. */
function refusal(error: unknown): unknown {
  if (error instanceof Problem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem(400, 'Unusable media parameters', { detail: `the media worker refuses them: ${detail}` });
}

/** RFC 6184 section 8.1. */
const SPROP = 'sprop-parameter-sets';

/** One track between the publisher and the relay thread. */
interface TrackFeed {
  source: PushTrack;
  producer: types.Producer;
  consumer: types.Consumer;
}

async function feedTrack(
  router: types.Router,
  transport: PublisherTransport,
  egress: types.PlainTransport,
  source: PushTrack,
  paused = false,
): Promise<TrackFeed> {
  const { rtpParameters } = source;
  // `produce` reads the router's codecs before its first await, so this pair of calls is atomic.
  const codec = rtpParameters.codecs[0]!;
  router.updateMediaCodecs([...(isH264(codec) ? codecCapabilities(UNTOLD_KEYFRAMES) : []), ...codecCapabilities(codec)]);
  const capabilities = router.rtpCapabilities;
  const producer = await transport.produce({
    kind: source.kind,
    rtpParameters: passingAll({
      ...rtpParameters,
      codecs: rtpParameters.codecs.map((known) =>
        /\/rtx$/i.test(known.mimeType) ? known : { ...known, ...producedCodec(known) },
      ),
    }),
  });
  const consumer = await egress.consume({
    producerId: producer.id,
    rtpCapabilities: withoutRepair(capabilities),
    pipe: true,
    enableRtx: false,
    paused,
  });
  return { source, producer, consumer };
}

function describe({ source, consumer }: TrackFeed, track: number): TrackDescription {
  const codec = source.rtpParameters.codecs[0]!;
  // The last codec is the real one: passingAll may have put a placeholder before it.
  const sent = consumer.rtpParameters.codecs.at(-1)!;
  const layers = (consumer.rtpParameters.encodings ?? []).map((encoding, layer) => {
    const rid = source.rtpParameters.encodings?.[layer]?.rid;
    return {
      layer,
      ssrc: encoding.ssrc!,
      ...(rid !== undefined ? { rid } : {}),
      ...(encoding.maxBitrate ? { maxBitrate: encoding.maxBitrate } : {}),
      ...(encoding.scalabilityMode ? { scalabilityMode: encoding.scalabilityMode } : {}),
    };
  });
  const { [SPROP]: _sprop, ...parameters } = { ...(codec.parameters as Record<string, string | number>) };
  return {
    track,
    kind: source.kind,
    codec: {
      mimeType: codec.mimeType,
      payloadType: sent.payloadType,
      clockRate: codec.clockRate,
      ...(codec.channels !== undefined ? { channels: codec.channels } : {}),
      parameters,
      rtcpFeedback: (sent.rtcpFeedback ?? []).map((fb) => ({
        type: fb.type,
        ...(fb.parameter ? { parameter: fb.parameter } : {}),
      })),
    },
    headerExtensions: relayedExtensions(source.kind, source.rtpParameters.headerExtensions ?? []),
    layers,
  };
}

/** `sprop-parameter-sets` as announced. */
function parameterSetsOf({ rtpParameters }: PushTrack): string | undefined {
  const sprop = (rtpParameters.codecs[0]!.parameters as Record<string, string | number> | undefined)?.[SPROP];
  return sprop === undefined ? undefined : String(sprop);
}

function isH264(codec: Pick<types.RtpCodecParameters, 'mimeType'>): boolean {
  return codec.mimeType.toLowerCase() === 'video/h264';
}

/** A codec for which mediasoup does not detect keyframes (RTC::RTP::Codecs::Tools::CanBeKeyFrame in its worker). */
const UNTOLD_KEYFRAMES = { mimeType: 'video/AV1', clockRate: 90_000 };

/**
 * Makes pipe consumers forward all H.264 packets. mediasoup recognizes an H.264 keyframe only by its SPS, and a pipe consumer forwards nothing before the
 * first keyframe, so packets of a publisher that sends no SPS would never reach the gate. A consumer follows the first codec of its producer, so this puts a
 * placeholder codec without keyframe detection first. No packet has its payload type.
 */
function passingAll(parameters: types.RtpParameters): types.RtpParameters {
  const [codec] = parameters.codecs;
  if (!codec || !isH264(codec)) return parameters;
  const taken = new Set(parameters.codecs.map(({ payloadType }) => payloadType));
  const payloadType = Array.from({ length: 32 }, (_, i) => 127 - i).find((candidate) => !taken.has(candidate))!;
  return {
    ...parameters,
    codecs: [{ ...UNTOLD_KEYFRAMES, payloadType, parameters: {}, rtcpFeedback: codec.rtcpFeedback }, ...parameters.codecs],
    encodings: (parameters.encodings ?? [{}]).map((encoding) => ({ ...encoding, codecPayloadType: codec.payloadType })),
  };
}

/** Removes RTX and congestion control: loopback between worker and relay thread loses nothing. */
function withoutRepair(capabilities: types.RtpCapabilities): types.RtpCapabilities {
  return {
    codecs: (capabilities.codecs ?? [])
      .filter((codec) => !/\/rtx$/i.test(codec.mimeType))
      .map((codec) => ({
        ...codec,
        rtcpFeedback: (codec.rtcpFeedback ?? []).filter((fb) => fb.parameter === 'pli' || fb.parameter === 'fir'),
      })),
    headerExtensions: (capabilities.headerExtensions ?? []).filter(
      (ext) => !/sdes:|abs-send-time|transport-wide-cc/.test(ext.uri),
    ),
  };
}
