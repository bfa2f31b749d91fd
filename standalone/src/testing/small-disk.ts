import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const asOther = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];

/** A file system of some megabytes in its own mount namespace (mount_namespaces(7)); `remove` removes it. */
export class SmallDisk {
  /** Path of the folder for programs that run inside. */
  readonly path: string;
  /** Path of the same folder from outside. */
  readonly outside: string;
  readonly #holder: number;

  private constructor(path: string, holder: number) {
    this.path = path;
    this.#holder = holder;
    this.outside = `/proc/${holder}/root${path}`;
  }

  /** Undefined when this user may not create one. */
  static async create(bytes: number): Promise<SmallDisk | undefined> {
    if (spawnSync('unshare', [...asOther, '--mount', 'true']).status !== 0) return undefined;
    const path = mkdtempSync(join(tmpdir(), 'millrace-disk-'));
    const script = `mount -t tmpfs -o size=${bytes},mode=700 none "$0" && echo mounted && exec cat`;
    const holder = spawn('unshare', [...asOther, '--mount', 'sh', '-c', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(createInterface({ input: holder.stdout }), 'line');
    return new SmallDisk(path, holder.pid ?? 0);
  }

  /** The command line that runs `argv` inside. */
  inside(argv: readonly string[]): [string, ...string[]] {
    const user = asOther.length > 0 ? ['--user', '--preserve-credentials'] : [];
    return ['nsenter', `--target=${this.#holder}`, '--mount', ...user, '--', ...argv];
  }

  /** Fills the file system. Returns a function that frees the space. */
  fill(): () => void {
    const filler = join(this.outside, 'filler');
    const file = openSync(filler, 'w');
    for (let size = 1024 * 1024; size >= 1;) {
      try {
        writeSync(file, Buffer.alloc(size, 1));
      } catch {
        size = Math.floor(size / 2);
      }
    }
    closeSync(file);
    return () => rmSync(filler);
  }

  remove(): void {
    process.kill(this.#holder, 'SIGKILL');
    rmSync(this.path, { recursive: true, force: true });
  }
}
