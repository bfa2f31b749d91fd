/** Reads bits, most significant first. Past the end it gives zeros and says so in `overrun`. */
export class BitReader {
  overrun = false;
  readonly #buffer: Buffer;
  readonly #endBit: number;
  #bit: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#bit = start * 8;
    this.#endBit = end * 8;
  }

  read(bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i++) value = value * 2 + this.#next();
    return value;
  }

  #next(): number {
    if (this.#bit >= this.#endBit) {
      this.overrun = true;
      return 0;
    }
    const value = (this.#buffer[this.#bit >> 3]! >> (7 - (this.#bit & 7))) & 1;
    this.#bit += 1;
    return value;
  }
}
