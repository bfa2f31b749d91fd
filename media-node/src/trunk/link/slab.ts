/** A dozen datagrams: what one that is kept long holds on to, at most. */
const SLAB_BYTES = 16 * 1024;

/**
 * Memory for the bytes of datagrams, many to a piece. A piece of its own for each, as node:crypto gives it, is an ArrayBuffer that the garbage
 * collector moves, promotes and frees by itself: with a second of media kept, that costs more than copying the bytes.
 */
export class Slab {
  private bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private taken = 0;

  /** So many bytes, with anything in them, for the caller alone. */
  take(length: number): Buffer {
    // Nobody here sends such datagrams, but a peer may.
    if (length > SLAB_BYTES) return Buffer.allocUnsafeSlow(length);
    if (this.taken + length > SLAB_BYTES) {
      this.bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.taken = 0;
    }
    const start = this.taken;
    this.taken += length;
    return this.bytes.subarray(start, this.taken);
  }
}
