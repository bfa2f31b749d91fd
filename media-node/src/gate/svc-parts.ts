import { FRAME_END, spatialOf, temporalOf, type FrameMarks } from '@millrace/api/trunk';
import type { LimitedLayer, PublishLimit } from './publish-limit.ts';

/** Layer ids have four bits. */
const LAYER_IDS = 16;

/**
 * The place of a frame's layers in the order in which they are given up: upper temporal layers first, of all spatial layers at once, since nothing below needs
 * them; then upper spatial layers. 0: the base layer.
 */
const partOf = (marks: FrameMarks): number => (temporalOf(marks) > 0 ? LAYER_IDS + temporalOf(marks) : spatialOf(marks));

/**
 * One encoding before the bit rate limit, with the spatial and temporal layers in it (SVC, in one SSRC). An upper layer ends at the start of a picture,
 * because no frame below refers to it, and comes back at a keyframe: the marks do not say at which other frames decoders may switch up. An encoding without
 * layers is its base layer alone. Call in order.
 */
export class SvcParts {
  readonly #limit: PublishLimit;
  readonly #base: LimitedLayer;
  /** By part, lowest first. */
  #uppers: LimitedLayer[] = [];

  constructor(limit: PublishLimit, base: LimitedLayer) {
    this.#limit = limit;
    this.#base = base;
  }

  /** As PublishLimit.admits. @param startsPicture the packet is the first with its timestamp */
  admits(marks: FrameMarks, bytes: number, startsPicture: boolean, isKeyframe: boolean, nowMs: number): boolean {
    // The last packet of a picture needs the marker bit, so it must be known from the start how many spatial layers the picture will have.
    if (startsPicture) for (const upper of this.#uppers) if (!this.#limit.keeps(upper, nowMs)) this.#shutAbove(upper);
    const layer = this.#layerOf(marks);
    const isAdmitted = this.#limit.admits(layer, bytes, startsPicture, isKeyframe, nowMs);
    if (!isAdmitted) this.#shutAbove(layer);
    else if (layer === this.#base && isKeyframe && startsPicture)
      for (const upper of this.#uppers) this.#limit.reopen(upper, nowMs);
    return isAdmitted;
  }

  /** Whether to ask the publisher for a keyframe, so that what is withheld comes back. */
  wantsKeyframe(marks: FrameMarks, nowMs: number): boolean {
    return this.#limit.wantsKeyframe(this.#layerOf(marks), nowMs);
  }

  /** Whether a packet that passes has become the last one of its picture, since the spatial layers above are withheld: it needs the marker bit. */
  endsPicture(marks: FrameMarks): boolean {
    if ((marks & FRAME_END) === 0 || this.#uppers.length === 0) return false;
    const above = this.#uppers.filter(({ part }) => part < LAYER_IDS && part > spatialOf(marks));
    return above.length > 0 && above.every(({ isOpen }) => !isOpen);
  }

  #layerOf(marks: FrameMarks): LimitedLayer {
    const part = partOf(marks);
    if (part === 0) return this.#base;
    const known = this.#uppers.find((upper) => upper.part === part);
    if (known) return known;
    const isOpen = this.#base.isOpen && this.#uppers.every((upper) => upper.part > part || upper.isOpen);
    const added = this.#limit.addPart(this.#base, part, isOpen);
    this.#uppers = [...this.#uppers, added].sort((a, b) => a.part - b.part);
    return added;
  }

  /** What needs the layer goes with it. */
  #shutAbove({ part }: LimitedLayer): void {
    for (const upper of this.#uppers) if (upper.part > part) upper.isOpen = false;
  }
}
