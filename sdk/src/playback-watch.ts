import { MediaProblem, notDecoded } from './media-problem.ts';

/** Counters of a viewer's connection, since its start (W3C webrtc-stats). */
export interface PlaybackSample {
  readonly packets: number;
  readonly videoPackets: number;
  readonly framesDecoded: number;
  /** Of the video, without `video/`; empty while it is not known. */
  readonly codec: string;
}

export interface PlaybackContext {
  readonly node: string;
  /** Video codecs that the browser can decode. */
  readonly decodable: readonly string[];
  readonly userAgent: string;
}

/** Longer than a node takes to come back to a stream whose route changes, and than a keyframe is waited for. */
const PATIENCE_MS = 5_000;

/** Judges from counters whether a stream is seen and heard. The time is passed in. */
export class PlaybackWatch {
  readonly #context: PlaybackContext;
  #last: PlaybackSample = { packets: 0, videoPackets: 0, framesDecoded: 0, codec: '' };
  #packetAtMs: number;
  /** Since when video has come of which nothing was decoded. */
  #undecodedSinceMs: number | undefined;

  constructor(context: PlaybackContext, nowMs: number) {
    this.#context = context;
    this.#packetAtMs = nowMs;
  }

  /** What is wrong now; undefined while all is well or may yet be. `isPaused`: the node has said that nothing will come. */
  look(sample: PlaybackSample, isPaused: boolean, nowMs: number): MediaProblem | undefined {
    const last = this.#last;
    this.#last = sample;
    if (sample.packets !== last.packets || isPaused) this.#packetAtMs = nowMs;
    if (sample.framesDecoded !== last.framesDecoded || sample.videoPackets === last.videoPackets)
      this.#undecodedSinceMs = undefined;
    else this.#undecodedSinceMs ??= nowMs;
    if (this.#undecodedSinceMs !== undefined && nowMs - this.#undecodedSinceMs >= PATIENCE_MS) return this.#notDecoded(sample);
    return nowMs - this.#packetAtMs >= PATIENCE_MS ? this.#noMedia(sample) : undefined;
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
