import { createHash, timingSafeEqual } from 'node:crypto';

/** The keys with which apps call control: field names of the Secret are the apps' names, values their keys. Stores only hashes. */
export class AppKeys {
  #hashes: readonly { app: string; hash: Buffer }[] = [];

  /**
   * Takes the Secret's data (base64); undefined: the Secret does not exist, and no app has access. Skips keys of fewer than 16 bytes and
   * returns their apps.
   */
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

  /** The app that the key belongs to. The time does not depend on whether or where the key matches. */
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
