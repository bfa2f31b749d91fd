import { seededRandom } from '@millrace/service';

/** A seeded random source: equal seeds give equal sequences. */
export class RandomSource {
  /** Uniform in [0, 1). */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seededRandom(seed);
  }

  /** An integer from `min` to `max`, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** True with the given probability, 0 to 1. */
  boolean(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.next() * values.length)] as T;
  }

  /** A new source. Later draws from one of the two do not affect the other. */
  fork(): RandomSource {
    return new RandomSource(Math.floor(this.next() * 2 ** 32));
  }
}
