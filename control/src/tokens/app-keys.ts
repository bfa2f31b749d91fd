import { createHash, timingSafeEqual } from 'node:crypto';

const MIN_KEY_BYTES = 16;
/** Apps that one key may list. */
export const MAX_APPS_OF_KEY = 64;
/** An app of a stream name (api/src/stream-name.ts), or the beginning of one and `*`. */
const APP = /^[A-Za-z0-9_.-]{1,64}\*?$/;
const LIST = 'apps=';

/** A key's holder. */
export interface AppKey {
  /** The field name in the Secret. */
  readonly name: string;
  /** The apps whose streams it may place and see, each by its name or its beginning and `*`; undefined: all. */
  readonly apps: readonly string[] | undefined;
}

/** A field of the Secret that grants nothing. */
export interface RefusedKey {
  name: string;
  why: string;
}

/**
 * The keys with which apps call control: field names of the Secret are the holders' names, values `<key>` or `<key> apps=<app>,<beginning>*,…`. Stores only
 * hashes.
 */
export class AppKeys {
  #hashes: readonly { holder: AppKey; hash: Buffer }[] = [];

  /**
   * Takes the Secret's data (base64); undefined: the Secret does not exist, and no app has access. A field that is wrong grants nothing.
   * @returns those fields
   */
  load(data: Readonly<Record<string, string>> | undefined): RefusedKey[] {
    const refused: RefusedKey[] = [];
    this.#hashes = Object.entries(data ?? {}).flatMap(([name, encoded]) => {
      const field = parseField(Buffer.from(encoded, 'base64').toString('utf8'));
      if ('why' in field) {
        refused.push({ name, why: field.why });
        return [];
      }
      return [{ holder: { name, apps: field.apps }, hash: hashOf(field.key) }];
    });
    return refused;
  }

  get size(): number {
    return this.#hashes.length;
  }

  /** Whom the key belongs to. The time does not depend on whether or where the key matches. */
  holderOf(key: string): AppKey | undefined {
    const hash = hashOf(key);
    let found: AppKey | undefined;
    for (const known of this.#hashes) if (timingSafeEqual(known.hash, hash)) found = known.holder;
    return found;
  }
}

/** Whether the key is for streams of this app. */
export function coversApp({ apps }: AppKey, app: string): boolean {
  return apps?.some((known) => (known.endsWith('*') ? app.startsWith(known.slice(0, -1)) : app === known)) ?? true;
}

/** Whether the key is for this stream, `app/name`. */
export function coversStream(key: AppKey, stream: string): boolean {
  return coversApp(key, stream.split('/', 1)[0]!);
}

function parseField(text: string): { key: string; apps: readonly string[] | undefined } | { why: string } {
  const [key = '', list, ...rest] = text.trim().split(/\s+/);
  if (Buffer.byteLength(key) < MIN_KEY_BYTES) return { why: `the key is shorter than ${MIN_KEY_BYTES} characters` };
  if (list === undefined) return { key, apps: undefined };
  if (!list.startsWith(LIST) || rest.length > 0)
    return { why: `behind the key stands something else than ${LIST}name,beginning*` };
  const apps = list.slice(LIST.length).split(',');
  if (apps.length > MAX_APPS_OF_KEY) return { why: `it lists more than ${MAX_APPS_OF_KEY} apps` };
  const wrong = apps.find((app) => !APP.test(app));
  if (wrong !== undefined) return { why: `"${wrong.slice(0, 80)}" in ${LIST} is neither an app nor the beginning of one and *` };
  return { key, apps };
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
