import { EventEmitter } from 'node:events';
import type { TrackDescription } from '@millrace/api';
import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';
import type { PullSelection } from '../sdp/index.ts';
import type { MediaCore } from './cores.ts';
import { orWorkerLost, WORKER_DIED, type Ending } from './ending.ts';
import { LOOPBACK_PORTS } from './origin.ts';
import type { Egress } from '../relay/index.ts';
import { codecCapabilities } from './router-codecs.ts';
import { Viewer, type ViewerTransport } from './viewer.ts';

/** Numbers under which one group of viewers takes a track. Absent: the worker's own. */
export interface TrackNumbering {
  track: number;
  payloadType?: number;
}

interface DistributionEvents {
  closed: [reason: string, ending: Ending];
  /** The last viewer left. */
  idle: [];
}

/** A worker's random SSRCs are 32 bits; ours need only be distinct on one loopback socket. */
const FIRST_SSRC = 0x1000;

/**
 * A stream served to viewers of this node on one core, under one set of payload type numbers (a worker cannot number per viewer, mediasoup issue 1126).
 * The relay thread sends ordered packets to a plain transport; every viewer's consumers hang on the producers there.
 */
export class Distribution extends EventEmitter<DistributionEvents> {
  readonly core: MediaCore;
  readonly stream: string;
  readonly tracks: readonly TrackDescription[];
  readonly egress: Egress;
  readonly #router: types.Router;
  readonly #producers: ReadonlyMap<number, types.Producer>;
  readonly #viewers = new Set<Viewer>();
  readonly #wanted = new Map<number, number>();
  #closed = false;
  #paused = false;

  private constructor(core: MediaCore, stream: string, egress: Egress, router: types.Router, fed: readonly FedTrack[]) {
    super();
    this.setMaxListeners(0);
    this.core = core;
    this.stream = stream;
    this.egress = egress;
    this.tracks = fed.map(({ description }) => description);
    this.#router = router;
    this.#producers = new Map(fed.map(({ description, producer }) => [description.track, producer]));
    router.once('workerclose', () => this.close(WORKER_DIED, 'displaced'));
  }

  /** Takes the egress over: closes it with itself, also when this rejects. */
  static async open(
    core: MediaCore,
    stream: string,
    egress: Egress,
    numbering: readonly TrackNumbering[],
  ): Promise<Distribution> {
    let router: types.Router | undefined;
    try {
      const { tracks } = await described(stream, egress);
      const numbered = tracks.map((track) => ({ track, numbers: numbering.find((entry) => entry.track === track.track) }));
      const mediaCodecs = codecCapabilities(
        numbered.map(({ track, numbers }) => ({ ...track.codec, preferredPayloadType: numbers?.payloadType })),
      );
      router = await core.worker.createRouter({ mediaCodecs });
      const plain = await router.createPlainTransport({
        listenInfo: { protocol: 'udp', ip: '127.0.0.1', portRange: LOOPBACK_PORTS },
        rtcpMux: true,
      });
      const fed: FedTrack[] = [];
      for (const track of tracks) fed.push(await feed(plain, egress, track));
      if (router.closed) throw new Error('the router is closed');
      return new Distribution(core, stream, egress, router, fed);
    } catch (error) {
      router?.close();
      egress.close().catch(() => undefined);
      throw orWorkerLost(core.worker, error);
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** What a worker uses by itself: for offers of ours. */
  payloadTypes(): Map<number, { payloadType: number; rtxPayloadType?: number }> {
    return new Map(
      this.tracks.map(({ track, codec }) => {
        const capability = this.#capabilityOf(codec);
        const rtx = this.#rtxOf(capability.preferredPayloadType);
        return [
          track,
          { payloadType: capability.preferredPayloadType, ...(rtx ? { rtxPayloadType: rtx.preferredPayloadType } : {}) },
        ];
      }),
    );
  }

  async createTransport<T extends ViewerTransport>(create: (router: types.Router) => Promise<T>): Promise<T> {
    try {
      return await create(this.#router);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** Rejects when the worker refuses; the transport is closed then. */
  async addViewer<T extends ViewerTransport>(transport: T, selections: readonly PullSelection[]): Promise<Viewer<T>> {
    const consumers = new Map<number, types.Consumer>();
    try {
      for (const selection of selections) consumers.set(selection.track, await this.#consume(transport, selection));
    } catch (error) {
      transport.close();
      throw this.#explained(error);
    }
    if (this.#closed) {
      transport.close();
      throw this.#explained(undefined);
    }
    const viewer = new Viewer(transport, consumers, selections);
    this.#viewers.add(viewer);
    viewer.on('wish', () => this.#wishLayers());
    viewer.once('closed', () => {
      this.#viewers.delete(viewer);
      if (this.#closed) return;
      this.#wishLayers();
      if (this.#viewers.size === 0) this.emit('idle');
    });
    this.#wishLayers();
    return viewer;
  }

  /** The publisher is away; the viewers wait for it, or the next one of the name, in their sessions. */
  pause(reason: string): void {
    if (this.#paused) return;
    this.#paused = true;
    for (const viewer of this.#viewers) viewer.emit('paused', reason);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    for (const viewer of this.#viewers) viewer.emit('resumed');
  }

  close(reason: string, ending: Ending = 'over'): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const viewer of [...this.#viewers]) viewer.close(reason, ending);
    this.egress.close().catch(() => undefined);
    this.#router.close();
    this.emit('closed', reason, ending);
  }

  /** What went wrong for somebody who was joining: most likely that this was closed meanwhile. */
  #explained(error: unknown): unknown {
    const explained = orWorkerLost(this.core.worker, error);
    if (explained instanceof Problem || !this.#closed) return explained;
    return new Problem(503, 'The stream has just changed', {
      detail: `${this.stream} ended or changed its tracks meanwhile; try again`,
      headers: { 'retry-after': '1' },
    });
  }

  #consume(transport: ViewerTransport, selection: PullSelection): Promise<types.Consumer> {
    const producer = this.#producers.get(selection.track)!;
    const description = this.tracks.find(({ track }) => track === selection.track)!;
    const capability = this.#capabilityOf(description.codec);
    const rtx = this.#rtxOf(capability.preferredPayloadType);
    // Without a repair stream that both number alike, lost packets are sent again as they were (RFC 4585 NACK without RFC 4588).
    const codecs = [{ ...capability, rtcpFeedback: selection.rtcpFeedback }];
    if (rtx && rtx.preferredPayloadType === selection.rtxPayloadType) codecs.push({ ...rtx, rtcpFeedback: [] });
    return transport.consume({
      producerId: producer.id,
      rtpCapabilities: {
        codecs,
        headerExtensions: selection.extensions.map((ext) => ({
          kind: selection.kind,
          uri: ext.uri as types.RtpHeaderExtensionUri,
          preferredId: ext.id,
        })),
      },
      mid: selection.wireMid,
      enableRtx: selection.rtcpFeedback.some((fb) => fb.type === 'nack' && !fb.parameter),
    });
  }

  /** Layers above everyone's wish need not come here: the relay drops what nobody downstream wants. */
  #wishLayers(): void {
    for (const { track, layers } of this.tracks) {
      if (layers.length < 2) continue;
      const top = layers.length - 1;
      const wishes = [...this.#viewers]
        .filter((viewer) => viewer.plays(track))
        .map((viewer) => viewer.preferredLayer(track) ?? top);
      const highest = wishes.length > 0 ? Math.min(Math.max(...wishes), top) : top;
      const mask = 2 ** (highest + 1) - 1;
      if (this.#wanted.get(track) === mask) continue;
      this.#wanted.set(track, mask);
      this.egress.setLayers(track, mask).catch(() => undefined);
    }
  }

  #capabilityOf(codec: TrackDescription['codec']): types.RtpCodecCapability {
    const [wanted] = codecCapabilities([codec]);
    const codecs = this.#router.rtpCapabilities.codecs ?? [];
    const sameName = codecs.filter((known) => known.mimeType.toLowerCase() === codec.mimeType.toLowerCase());
    const sameFormat = sameName.find((known) =>
      Object.entries(wanted!.parameters ?? {}).every(([name, value]) => known.parameters?.[name] === value),
    );
    return (sameFormat ?? sameName[0])!;
  }

  #rtxOf(payloadType: number): types.RtpCodecCapability | undefined {
    return this.#router.rtpCapabilities.codecs?.find(
      (codec) => /\/rtx$/i.test(codec.mimeType) && codec.parameters?.['apt'] === payloadType,
    );
  }
}

/** A path over several relays may have to set up as many trunks. */
const DESCRIBED_WITHIN_MS = 8000;

async function described(stream: string, egress: Egress): Promise<{ tracks: TrackDescription[] }> {
  try {
    return await egress.described(DESCRIBED_WITHIN_MS);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Problem(504, 'The stream cannot be reached', {
      detail: `${stream}: ${why}; try again`,
      headers: { 'retry-after': '1' },
    });
  }
}

interface FedTrack {
  description: TrackDescription;
  producer: types.Producer;
}

async function feed(plain: types.PlainTransport, egress: Egress, description: TrackDescription): Promise<FedTrack> {
  const { track, kind, codec } = description;
  const layers = description.layers.map(({ layer }) => ({ layer, ssrc: FIRST_SSRC + track * 16 + layer }));
  // A payload type of our own per track: the origin's may clash between tracks.
  const payloadType = 96 + track;
  const producer = await plain.produce({
    kind,
    keyFrameRequestDelay: 300,
    rtpParameters: {
      codecs: [
        { ...codec, payloadType, parameters: { ...codec.parameters }, rtcpFeedback: kind === 'video' ? KEYFRAME_REQUESTS : [] },
      ],
      headerExtensions: description.headerExtensions.map((ext) => ({ uri: ext.uri as types.RtpHeaderExtensionUri, id: ext.id })),
      encodings: description.layers.map(({ maxBitrate, scalabilityMode }, index) => ({
        ssrc: layers[index]!.ssrc,
        ...(maxBitrate ? { maxBitrate } : {}),
        ...(scalabilityMode ? { scalabilityMode } : {}),
      })),
      rtcp: { cname: 'millrace', reducedSize: true },
    },
  });
  const sender = await egress.attach(track, { ip: '127.0.0.1', port: plain.tuple.localPort, payloadType, layers });
  // Keyframe requests go back to where the packets come from.
  if (!plain.tuple.remotePort) await plain.connect(sender);
  return { description, producer };
}

const KEYFRAME_REQUESTS = [
  { type: 'nack', parameter: 'pli' },
  { type: 'ccm', parameter: 'fir' },
];

/** Whether a new publisher's tracks can go on under the producers that viewers already have. */
export function canContinue(before: readonly TrackDescription[], now: readonly TrackDescription[]): boolean {
  return (
    before.length === now.length &&
    before.every((old) => {
      const next = now.find(({ track }) => track === old.track);
      return next && formatOf(next) === formatOf(old) && next.layers.length === old.layers.length;
    })
  );
}

function formatOf({ kind, codec }: TrackDescription): string {
  const { mimeType, clockRate, channels, parameters } = codec;
  return JSON.stringify([kind, mimeType, clockRate, channels, parameters?.['profile-level-id'], parameters?.['profile-id']]);
}
