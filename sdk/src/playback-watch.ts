import { MediaProblem, notDecoded } from './media-problem.ts';

/** Counters of a viewer's connection, since its start (W3C webrtc-stats). */
export interface PlaybackSample {
  readonly packets: number;
  readonly videoPackets: number;
  readonly framesDecoded: number;
  /** Codec of the video, without `video/`; empty while unknown. */
  readonly codec: string;
}

export interface PlaybackContext {
  readonly node: string;
  /** Video codecs that the browser can decode. */
  readonly decodable: readonly string[];
  readonly userAgent: string;
}

/** Longer than a route change or the wait for a keyframe takes. */
const NO_PICTURE_TIMEOUT_MS = 5_000;

/** Judges from counters whether a stream is playing. The time is passed in. */
export class PlaybackWatch {
  readonly #context: PlaybackContext;
  #last: PlaybackSample = { packets: 0, videoPackets: 0, framesDecoded: 0, codec: '' };
  #packetAtMs: number;
  /** Since when video has arrived without a decoded frame. */
  #undecodedSinceMs: number | undefined;

  constructor(context: PlaybackContext, nowMs: number) {
    this.#context = context;
    this.#packetAtMs = nowMs;
  }

  /** The present problem; undefined while there is none or it is too early to say. `isPaused`: the node has announced that no media will come. */
  look(sample: PlaybackSample, isPaused: boolean, nowMs: number): MediaProblem | undefined {
    const last = this.#last;
    this.#last = sample;
    if (sample.packets !== last.packets || isPaused) this.#packetAtMs = nowMs;
    if (sample.framesDecoded !== last.framesDecoded || sample.videoPackets === last.videoPackets)
      this.#undecodedSinceMs = undefined;
    else this.#undecodedSinceMs ??= nowMs;
    if (this.#undecodedSinceMs !== undefined && nowMs - this.#undecodedSinceMs >= NO_PICTURE_TIMEOUT_MS)
      return this.#notDecoded(sample);
    return nowMs - this.#packetAtMs >= NO_PICTURE_TIMEOUT_MS ? this.#noMedia(sample) : undefined;
  }

  #notDecoded({ codec }: PlaybackSample): MediaProblem {
    const { decodable, userAgent } = this.#context;
    return notDecoded({ kind: 'video', stream: codec === '' ? [] : [codec], browser: decodable }, userAgent);
  }

  #noMedia({ packets }: PlaybackSample): MediaProblem {
    const { node } = this.#context;
    const what =
      packets === 0 ? `${node} is connected, but has sent nothing yet` : `nothing has come from ${node} for some seconds`;
    return new MediaProblem(
      'NoMedia',
      what,
      'The publisher may have stopped, or its encoder sends no keyframe: see the state of the stream. This page goes on waiting.',
    );
  }
}
