import type { Clock } from '@millrace/service';

/** Reports progress: one line for each step, with the duration of long ones. */
export class Progress {
  readonly #clock: Clock;
  readonly #write: (line: string) => void;

  constructor(clock: Clock, write: (line: string) => void = (line) => void process.stderr.write(`${line}\n`)) {
    this.#clock = clock;
    this.#write = write;
  }

  say(line: string): void {
    this.#write(line);
  }

  /** Runs a step and reports its name at the start and its duration at the end. */
  async step<T>(name: string, run: () => Promise<T>): Promise<T> {
    const startMs = this.#clock.now();
    try {
      const result = await run();
      this.#write(`  ✓ ${name} (${this.#since(startMs)})`);
      return result;
    } catch (error) {
      this.#write(`  ✗ ${name} (${this.#since(startMs)})`);
      throw error;
    }
  }

  /**
   * Waits until `look` finds nothing missing; reports what is missing when that changes.
   * @throws Error with what is still missing after `timeoutMs`.
   */
  async wait(name: string, timeoutMs: number, look: () => string | undefined, signal: AbortSignal): Promise<void> {
    const startMs = this.#clock.now();
    await this.step(name, async () => {
      let told: string | undefined;
      for (;;) {
        signal.throwIfAborted();
        const missing = look();
        if (missing === undefined) return;
        const elapsedMs = this.#clock.now() - startMs;
        if (elapsedMs > timeoutMs) throw new Error(`${name}: after ${this.#since(startMs)} still ${missing}`);
        if (missing !== told && elapsedMs > 2_000) this.#write(`    … ${this.#since(startMs)}: ${(told = missing)}`);
        await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, 200));
      }
    });
  }

  #since(startMs: number): string {
    return `${((this.#clock.now() - startMs) / 1_000).toFixed(1)} s`;
  }
}
