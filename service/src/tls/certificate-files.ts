import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Timer } from '../clock.ts';
import type { CertificatePair } from './judge.ts';
import type { ServingCertificate } from './serving-certificate.ts';

/**
 * How often the files are read, ms. Reading them works on every file system and however they are replaced: the kubelet swaps a symbolic link
 * of the folder, others write the files themselves.
 */
const READ_MS = 10_000;
/** How often a pair is read again when its halves change meanwhile. */
const MAX_READS = 3;

/** Follows a folder with tls.crt and tls.key, as Kubernetes mounts a Secret. */
export class CertificateFiles {
  readonly #folder: string;
  readonly #certificate: ServingCertificate;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #stopped = false;

  private constructor(folder: string, certificate: ServingCertificate, clock: Clock) {
    this.#folder = folder;
    this.#certificate = certificate;
    this.#clock = clock;
  }

  /** @throws Error that names the folder and the remedy, when it holds no pair that can be used */
  static async follow(options: { folder: string; certificate: ServingCertificate; clock: Clock }): Promise<CertificateFiles> {
    const files = new CertificateFiles(options.folder, options.certificate, options.clock);
    const refused = await files.#read();
    if (refused !== undefined) throw new Error(`MILLRACE_TLS_DIR: ${options.folder} must hold tls.crt and tls.key: ${refused}`);
    files.#readLater();
    return files;
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
  }

  #readLater(): void {
    if (this.#stopped) return;
    this.#timer = this.#clock.setTimeout(() => void this.#read().then(() => this.#readLater()), READ_MS);
    this.#timer.unref();
  }

  async #read(): Promise<string | undefined> {
    try {
      return this.#certificate.offer(await readPair(this.#folder), this.#folder);
    } catch (error) {
      return this.#certificate.refuse((error as Error).message, this.#folder);
    }
  }
}

/** Both files of one moment: a pair whose certificate changed while its key was read is read again. */
async function readPair(folder: string): Promise<CertificatePair> {
  const read = (name: string): Promise<Buffer> => readFile(join(folder, name));
  let cert = await read('tls.crt');
  for (let reads = 1; ; reads++) {
    const key = await read('tls.key');
    const again = await read('tls.crt');
    if (again.equals(cert) || reads === MAX_READS) return { cert: again, key };
    cert = again;
  }
}
