/** Cleanups that must run before this process ends, however it ends. They run in reverse order. */
export class Ending {
  readonly #undo: (() => unknown)[] = [];
  #running: Promise<void> | undefined;

  /** Registers a cleanup. The returned function runs it early; it never runs twice. */
  add(undo: () => unknown): () => Promise<void> {
    let done = false;
    const once = async (): Promise<void> => {
      if (done) return;
      done = true;
      await undo();
    };
    this.#undo.push(once);
    return once;
  }

  /** True once `end` was called; then nothing may be started any more. */
  get hasBegun(): boolean {
    return this.#running !== undefined;
  }

  /** Runs all cleanups, even if some fail, so that no process is left behind. */
  end(): Promise<void> {
    this.#running ??= this.#end();
    return this.#running;
  }

  async #end(): Promise<void> {
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        process.stderr.write(`while ending: ${error instanceof Error ? error.message : String(error)}\n`);
      }
    }
  }
}
