import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `<state dir>/ready.json` exists exactly while the node is ready. Exec probes check it where the ops port is not known in advance. */
export class ReadyFile {
  readonly #folder: string;
  #written = '';
  #queue: Promise<void> = Promise.resolve();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param content undefined: not ready */
  set(content: object | undefined): Promise<void> {
    const text = content === undefined ? '' : `${JSON.stringify(content)}\n`;
    if (text === this.#written) return this.#queue;
    this.#written = text;
    this.#queue = this.#queue.then(() => this.#write(text)).catch(() => undefined);
    return this.#queue;
  }

  async #write(text: string): Promise<void> {
    const path = join(this.#folder, 'ready.json');
    if (text === '') return rm(path, { force: true });
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }
}
