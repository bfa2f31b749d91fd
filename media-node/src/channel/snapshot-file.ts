import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Snapshot } from '@millrace/api';
import type { Clock, Logger, Timer } from '@millrace/service';

const SETTLE_MS = 500;

/** The last snapshot on disk, so that a restarted node goes on while control is away. Holds trunk keys: mode 0600. */
export class SnapshotFile {
  readonly #path: string;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #next: (() => Snapshot) | undefined;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: { folder: string; clock: Clock; logger: Logger }) {
    this.#folder = options.folder;
    this.#path = join(options.folder, 'snapshot.json');
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** undefined: there is none, none that can be read, or one of another node. */
  async load(node: string): Promise<Snapshot | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#logger.warn({ err: error }, 'the kept snapshot cannot be read');
      return undefined;
    }
    const parsed = Snapshot.safeParse(parseJson(text));
    if (!parsed.success) this.#logger.warn({ path: this.#path }, 'the kept snapshot is not one: it is ignored');
    return parsed.success && parsed.data.self.node === node ? parsed.data : undefined;
  }

  /** Writes what `snapshot` gives a moment later; a burst of changes costs one write. */
  keep(snapshot: () => Snapshot): void {
    this.#next = snapshot;
    this.#timer ??= this.#clock.setTimeout(() => void this.flush(), SETTLE_MS);
  }

  /** Writes what is due now. */
  flush(): Promise<void> {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const next = this.#next;
    this.#next = undefined;
    if (next) {
      this.#writing = this.#writing
        .then(() => this.#write(JSON.stringify(next())))
        .catch((err: unknown) => this.#logger.warn({ err, path: this.#path }, 'the snapshot cannot be kept'));
    }
    return this.#writing;
  }

  /** A reader, or a crash half-way, sees the old file or the new one. */
  async #write(text: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
