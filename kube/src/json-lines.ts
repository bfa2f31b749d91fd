import { KubeError } from './errors.ts';

/** Far above any valid watch event: it holds one object, and etcd accepts at most 1.5 MB. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Splits a byte stream at line feeds and parses each line. Throws BadAnswer for a line that is not JSON, too long or truncated. */
export async function* jsonLines(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes = MAX_LINE_BYTES,
): AsyncGenerator<unknown, void> {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let feed = chunk.indexOf(0x0a); feed >= 0; feed = chunk.indexOf(0x0a, from)) {
      pending.push(chunk.subarray(from, feed));
      const line = Buffer.concat(pending).toString('utf8').trim();
      pending = [];
      pendingBytes = 0;
      from = feed + 1;
      if (line !== '') yield parse(line);
    }
    if (from < chunk.length) {
      pending.push(chunk.subarray(from));
      pendingBytes += chunk.length - from;
      if (pendingBytes > maxLineBytes) throw KubeError.local('BadAnswer', `a watch event is longer than ${maxLineBytes} bytes`);
    }
  }
  const rest = Buffer.concat(pending).toString('utf8').trim();
  if (rest !== '') yield parse(rest);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw KubeError.local('BadAnswer', `a watch event is not JSON: ${line.slice(0, 80)}`, error);
  }
}
