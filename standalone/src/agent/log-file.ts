import { EventEmitter } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** The log of one container: the current file and the previous one, each at most `maxBytes` long. */
export class LogFile {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #events = new EventEmitter().setMaxListeners(0);
  #size: number;

  constructor(path: string, maxBytes = 10 * 1024 * 1024) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#size = existsSync(path) ? statSync(path).size : 0;
  }

  /** Never throws: a full disk must not stop what is being logged. */
  write(chunk: Buffer): void {
    try {
      if (this.#size === 0) mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      if (this.#size > 0 && this.#size + chunk.length > this.#maxBytes) {
        renameSync(this.#path, `${this.#path}.1`);
        this.#size = 0;
      }
      appendFileSync(this.#path, chunk, { mode: 0o600 });
      this.#size += chunk.length;
    } catch {
      return;
    } finally {
      this.#events.emit('chunk', chunk);
    }
  }

  /** Returns the stored lines, oldest first; with `tailLines` only the last ones. */
  read(tailLines?: number): string {
    const parts = [`${this.#path}.1`, this.#path].filter(existsSync).map((path) => readFileSync(path, 'utf8'));
    const text = parts.join('');
    if (tailLines === undefined) return text;
    const lines = text.split('\n');
    const complete = lines.at(-1) === '' ? lines.slice(0, -1) : lines;
    return tailLines === 0
      ? ''
      : complete
          .slice(-tailLines)
          .map((line) => `${line}\n`)
          .join('');
  }

  /** Calls back with everything written from now on; the returned function ends it. */
  follow(listener: (chunk: Buffer) => void): () => void {
    this.#events.on('chunk', listener);
    return () => this.#events.off('chunk', listener);
  }
}
