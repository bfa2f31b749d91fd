import { CELLS, STRIP, timeOf } from '../latency-code.ts';

const CELL_PIXELS = 8;

/** Reads the time stamp in the picture and computes its age in ms. */
export class LatencyMeter {
  readonly #canvas = new OffscreenCanvas(CELLS * CELL_PIXELS, CELL_PIXELS);
  readonly #context = this.#canvas.getContext('2d', { willReadFrequently: true });

  /** Age of the frame that the video shows, or undefined if it has no stamp. */
  ageMs(video: HTMLVideoElement): number | undefined {
    const { videoWidth: width, videoHeight: height } = video;
    if (!this.#context || width === 0) return undefined;
    const source = [STRIP.left * width, STRIP.top * height, STRIP.width * width, STRIP.height * height] as const;
    this.#context.drawImage(video, ...source, 0, 0, this.#canvas.width, this.#canvas.height);
    const { data } = this.#context.getImageData(0, CELL_PIXELS / 2, this.#canvas.width, 1);
    const luma = Array.from({ length: CELLS }, (_, i) => data[4 * (i * CELL_PIXELS + CELL_PIXELS / 2) + 1] ?? 0);
    const now = Date.now();
    const time = timeOf(luma, now);
    return time === undefined ? undefined : now - time;
  }
}
