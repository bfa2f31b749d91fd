import { readFileSync, readdirSync } from 'node:fs';

const FOLDER = new URL('./offers/', import.meta.url);

/** Names of offers as real clients send them. */
export const offerNames: readonly string[] = readdirSync(FOLDER).flatMap((file) =>
  file.endsWith('.sdp') ? [file.slice(0, -4)] : [],
);

/** The offer of that name, with the line ends of RFC 8866. */
export function offerText(name: string): string {
  return readFileSync(new URL(`${name}.sdp`, FOLDER), 'utf8').replaceAll('\n', '\r\n');
}
