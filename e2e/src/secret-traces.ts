/** A value that nobody but its owners may see, under a name that tells what it is. */
export interface KnownSecret {
  readonly name: string;
  readonly value: Buffer | string;
}

/** Where a secret, or a part of one, shows. */
export interface Trace {
  readonly secret: string;
  readonly form: string;
  readonly place: string;
}

/** As many characters in a row do not match by coincidence: 72 bits of base64. */
const PART = 12;
const MIN_BYTES = 8;

/**
 * Finds secrets in texts, whole or in parts (an error message that quotes some characters of a token leaks them, too), as they are and as
 * base64 (at any alignment, so also within something longer), base64url, hex, and URL-encoded.
 */
export class SecretTraces {
  readonly #parts = new Map<string, { secret: string; form: string }>();

  add({ name, value }: KnownSecret): void {
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value);
    if (bytes.length < MIN_BYTES) throw new Error(`${name} has ${bytes.length} bytes: too few to rule out a coincidence`);
    const text = bytes.toString();
    const isText = Buffer.from(text).equals(bytes);
    for (const form of isText ? [text, JSON.stringify(text).slice(1, -1)] : []) this.#learn(name, 'as it is', form);
    if (isText) this.#learn(name, 'URL-encoded', encodeURIComponent(text));
    this.#learn(name, 'hex', bytes.toString('hex'));
    this.#learn(name, 'hex', bytes.toString('hex').toUpperCase());
    for (const before of [0, 1, 2]) {
      const shifted = Buffer.concat([Buffer.alloc(before), bytes]);
      // The first and last characters depend on what stands around.
      const skipped = Math.ceil((before * 8) / 6);
      const whole = Math.floor((shifted.length * 8) / 6);
      for (const form of ['base64', 'base64url'] as const) this.#learn(name, form, shifted.toString(form).slice(skipped, whole));
    }
  }

  get size(): number {
    return this.#parts.size;
  }

  /** Every secret that shows in the text, once in each form. */
  find(place: string, text: string): Trace[] {
    const found = new Map<string, Trace>();
    for (let at = 0; at + PART <= text.length; at++) {
      const known = this.#parts.get(text.slice(at, at + PART));
      if (known) found.set(`${known.secret} ${known.form}`, { ...known, place });
    }
    return [...found.values()];
  }

  #learn(secret: string, form: string, text: string): void {
    for (let at = 0; at + PART <= text.length; at++) {
      const part = text.slice(at, at + PART);
      if (!this.#parts.has(part)) this.#parts.set(part, { secret, form });
    }
  }
}

/** What of a JWT is secret: whoever has its signature can put the rest together. */
export function signatureOf(jwt: string): string {
  const signature = jwt.split('.')[2];
  if (!signature) throw new Error('not a signed JWT');
  return signature;
}

/** The part of a PEM that is not the same in all of them. */
export function bodyOfPem(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\s/g, '').slice(48);
}
