/** A value that only its owners may see, with a name that describes it. */
export interface KnownSecret {
  readonly name: string;
  readonly value: Buffer | string;
}

/** A place where a secret, or a part of one, appears. */
export interface Trace {
  readonly secret: string;
  readonly form: string;
  readonly place: string;
}

/** Minimum length of a match, in characters: 72 bits of base64 do not match by coincidence. */
const PART = 12;
const MIN_BYTES = 8;

/**
 * Finds secrets in texts, whole or in parts (an error message that quotes some characters of a token leaks them, too), as plain text and as
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
      // The first and last characters depend on the surrounding bytes.
      const skipped = Math.ceil((before * 8) / 6);
      const whole = Math.floor((shifted.length * 8) / 6);
      for (const form of ['base64', 'base64url'] as const) this.#learn(name, form, shifted.toString(form).slice(skipped, whole));
    }
  }

  get size(): number {
    return this.#parts.size;
  }

  /** Every secret that appears in the text, once in each form. */
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

/** The secret part of a JWT: the other parts can be reconstructed. */
export function signatureOf(jwt: string): string {
  const signature = jwt.split('.')[2];
  if (!signature) throw new Error('not a signed JWT');
  return signature;
}

/** The part of a PEM that differs between keys. */
export function bodyOfPem(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\s/g, '').slice(48);
}
