/** Arithmetic of GF(2^8) modulo x^8+x^4+x^3+x^2+1, the field of RFC 5510. Addition is XOR. */
const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++) {
  EXP[i] = EXP[i + 255] = x;
  LOG[x] = i;
  x = (x << 1) ^ (x & 0x80 ? 0x11d : 0);
}

/** One row of products for each factor, so that a byte costs one look-up. */
const PRODUCTS = Array.from({ length: 256 }, (_, a) =>
  Uint8Array.from({ length: 256 }, (_unused, b) => (a && b ? EXP[LOG[a]! + LOG[b]!]! : 0)),
);

export function multiply(a: number, b: number): number {
  return PRODUCTS[a]![b]!;
}

export function inverse(a: number): number {
  if (a === 0) throw new RangeError('0 has no inverse');
  return EXP[255 - LOG[a]!]!;
}

/** target[i] += factor × source[i], for all of source, from `offset` of target on. */
export function addProduct(target: Uint8Array, offset: number, source: Uint8Array, factor: number): void {
  const row = PRODUCTS[factor]!;
  for (let i = 0; i < source.length; i++) target[offset + i]! ^= row[source[i]!]!;
}

export function scale(target: Uint8Array, factor: number): void {
  const row = PRODUCTS[factor]!;
  for (let i = 0; i < target.length; i++) target[i] = row[target[i]!]!;
}

export const MAX_DATA_SHARDS = 128;
export const MAX_PARITY_SHARDS = 32;

/**
 * Coefficient of data shard i in parity shard j: a Cauchy matrix, each square part of which can be inverted. So any parity shards replace
 * any data shards, and a group closed early is the same code with fewer columns.
 */
export function coefficient(parity: number, data: number): number {
  return inverse((MAX_DATA_SHARDS + parity) ^ data);
}
