import type { TrackDescription } from '@millrace/api';
import type { types } from 'mediasoup';
import type { EgressHandle } from '../relay/index.ts';
import { codecCapabilities, producedCodec, repairOf, type TrackNumbers } from './router-codecs.ts';

/** A producer of one track with one set of payload types, and the capabilities for its consumers. */
export interface Feed {
  track: number;
  producer: types.Producer;
  media: types.RtpCodecCapability;
  rtx?: types.RtpCodecCapability;
}

interface OpenFeed {
  users: number;
  feed: Promise<Feed>;
  ssrc: number;
}

/** The first SSRC of a feed. SSRCs need to be unique only on one loopback socket. */
const INITIAL_SSRC = 0x1000;
const MAX_LAYERS_PER_FEED = 16;

/**
 * The tracks of a served stream as producers of one router. A worker rewrites payload types at the producer, where packets enter it, and never at a consumer
 * (mediasoup issue 1126), so each set of payload types that viewers use for a track needs its own producer. A producer costs about as much as one more viewer:
 * a copy of the track's packets over loopback. The first viewer with a set of payload types opens its feed, and the last one closes it.
 */
export class Feeds {
  readonly #router: types.Router;
  readonly #plain: types.PlainTransport;
  readonly #egress: EgressHandle;
  readonly #open = new Map<string, OpenFeed>();
  #ssrcs = INITIAL_SSRC;
  #connected: Promise<void> | undefined;

  constructor(router: types.Router, plain: types.PlainTransport, egress: EgressHandle) {
    this.#router = router;
    this.#plain = plain;
    this.#egress = egress;
  }

  /** How many producers there are, including those that are being opened. */
  get size(): number {
    return this.#open.size;
  }

  /** Joins the feed with these payload types, or opens it. Each call that does not reject must be paired with a call of `leave`. */
  async join(description: TrackDescription, numbers: TrackNumbers): Promise<Feed> {
    const key = keyOf(description.track, numbers);
    let open = this.#open.get(key);
    if (!open) {
      const ssrc = this.#ssrcs;
      this.#ssrcs += MAX_LAYERS_PER_FEED;
      open = { users: 0, feed: this.#produce(description, numbers, ssrc), ssrc };
      this.#open.set(key, open);
    }
    open.users += 1;
    try {
      return await open.feed;
    } catch (error) {
      if (this.#open.get(key) === open) this.#open.delete(key);
      throw error;
    }
  }

  /** Leaves a feed. The last user closes it. */
  leave(track: number, numbers: TrackNumbers): void {
    const key = keyOf(track, numbers);
    const open = this.#open.get(key);
    if (!open) return;
    open.users -= 1;
    if (open.users > 0) return;
    this.#open.delete(key);
    const { localPort: port } = this.#plain.tuple;
    open.feed.then(({ producer }) => producer.close()).catch(() => undefined);
    this.#egress.detach(track, { ip: '127.0.0.1', port }, open.ssrc).catch(() => undefined);
  }

  async #produce(description: TrackDescription, numbers: TrackNumbers, ssrc: number): Promise<Feed> {
    const { track, kind, codec } = description;
    const layers = description.layers.map((_, rank) => ({ rank, ssrc: ssrc + rank }));
    // `produce` reads the router's codecs before its first await, so this pair of calls is atomic.
    this.#router.updateMediaCodecs(codecCapabilities(codec, numbers));
    const { codecs = [] } = this.#router.rtpCapabilities;
    const media = codecs.find(({ preferredPayloadType }) => preferredPayloadType === numbers.payloadType)!;
    const rtx = repairOf(codecs, numbers);
    const producing = this.#plain.produce({
      kind,
      keyFrameRequestDelay: 300,
      rtpParameters: {
        codecs: [
          {
            ...producedCodec(codec),
            payloadType: numbers.payloadType,
            rtcpFeedback: kind === 'video' ? KEYFRAME_REQUESTS : [],
          },
        ],
        headerExtensions: description.headerExtensions.map((ext) => ({
          uri: ext.uri as types.RtpHeaderExtensionUri,
          id: ext.id,
        })),
        encodings: description.layers.map(({ maxBitrate, scalabilityMode }, rank) => ({
          ssrc: ssrc + rank,
          ...(maxBitrate ? { maxBitrate } : {}),
          ...(scalabilityMode ? { scalabilityMode } : {}),
        })),
        rtcp: { cname: 'millrace', reducedSize: true },
      },
    });
    const producer = await producing;
    const { localPort: port } = this.#plain.tuple;
    const sender = await this.#egress.attach(track, { ip: '127.0.0.1', port, payloadType: numbers.payloadType, layers });
    // The worker sends keyframe requests to the source of the packets. All feeds share one source, so the transport is connected once.
    if (!this.#plain.tuple.remotePort) {
      this.#connected ??= this.#plain.connect(sender);
      await this.#connected;
    }
    return { track, producer, media, ...(rtx ? { rtx } : {}) };
  }
}

function keyOf(track: number, { payloadType, rtxPayloadType }: TrackNumbers): string {
  return `${track}/${payloadType}/${rtxPayloadType ?? ''}`;
}

const KEYFRAME_REQUESTS = [
  { type: 'nack', parameter: 'pli' },
  { type: 'ccm', parameter: 'fir' },
];
