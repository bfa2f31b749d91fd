import type { ServerResponse } from 'node:http';
import { stringify } from 'yaml';
import type { ResourceRequest } from './request.ts';

/** Responds in the encoding that the client requested. */
export function respond({ response, wanted }: ResourceRequest, code: number, body: object): void {
  if (wanted.encoding === 'application/json') return sendJson(response, code, body);
  send(response, code, wanted.encoding, stringify(JSON.parse(JSON.stringify(body))));
}

export function sendJson(response: ServerResponse, code: number, body: object): void {
  send(response, code, 'application/json', JSON.stringify(body));
}

function send(response: ServerResponse, code: number, type: string, text: string): void {
  const bytes = Buffer.from(text);
  response.writeHead(code, { 'Content-Type': type, 'Content-Length': bytes.length, 'Cache-Control': 'no-cache, private' });
  endWhenDrained(response, bytes);
}

/**
 * Holds back the last byte of a large response until the rest has been sent. A client that has the whole response may send its next request at
 * once; while the socket still counts as full, Node pauses its parser for that request, and TLS records decrypted already then fail with
 * "Parse Error: Paused" and reset the connection (seen with Node 24.21).
 */
function endWhenDrained(response: ServerResponse, bytes: Buffer): void {
  const last = bytes.length - 1;
  if (last < 1 || response.write(bytes.subarray(0, last))) return void response.end(bytes.subarray(Math.max(0, last)));
  response.once('drain', () => response.end(bytes.subarray(last)));
}
