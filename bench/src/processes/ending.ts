/** What must be undone before this process ends, however it ends. The last begun is undone first. */
export class Ending {
  readonly #undo: (() => unknown)[] = [];
  #running: Promise<void> | undefined;

  /** Runs `undo` when this ends, unless the returned function is called first: that runs it at once, and once only. */
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

  /** Nothing more is to be started. */
  get hasBegun(): boolean {
    return this.#running !== undefined;
  }

  /** Goes on when one fails, so that no process is left for another's sake. */
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
