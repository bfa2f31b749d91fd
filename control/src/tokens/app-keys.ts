import { createHash, timingSafeEqual } from 'node:crypto';

/** The keys by which apps call control: field names of the Secret are the apps' names, values their keys. Only hashes are kept. */
export class AppKeys {
  #hashes: readonly { app: string; hash: Buffer }[] = [];

  /** Takes the Secret's data (base64); undefined: there is none, and nobody gets in. Values of fewer than 16 bytes are passed over and returned. */
  load(data: Readonly<Record<string, string>> | undefined): string[] {
    const weak: string[] = [];
    this.#hashes = Object.entries(data ?? {}).flatMap(([app, encoded]) => {
      const key = Buffer.from(encoded, 'base64').toString('utf8').trim();
      if (Buffer.byteLength(key) < 16) {
        weak.push(app);
        return [];
      }
      return [{ app, hash: hashOf(key) }];
    });
    return weak;
  }

  get size(): number {
    return this.#hashes.length;
  }

  /** The app whose key it is. Takes as long whether and wherever it matches. */
  appOf(key: string): string | undefined {
    const hash = hashOf(key);
    let found: string | undefined;
    for (const known of this.#hashes) if (timingSafeEqual(known.hash, hash)) found = known.app;
    return found;
  }
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
