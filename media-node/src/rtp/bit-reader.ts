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

  /** ue(v) of ITU-T H.264 section 9.1. */
  readExpGolomb(): number {
    let zeros = 0;
    while (this.#next() === 0) if (this.overrun || ++zeros > 31) return 0;
    return 2 ** zeros - 1 + this.read(zeros);
  }

  /** se(v) of the same section. */
  readSignedExpGolomb(): number {
    const code = this.readExpGolomb();
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
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
