import type http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { clientGroup } from './client-address.ts';
import { Problem } from './problem.ts';

/** What one HTTP listener accepts from clients. Bodies are bounded where they are read, request rates by AddressRate. */
export interface HttpLimits {
  /** Open connections; further ones are closed at once. */
  connections: number;
  /** Of those, from one client address (IPv6: one /64); trusted proxies are not bounded by it. */
  connectionsPerAddress: number;
  /** Request line and headers, bytes. */
  headerBytes: number;
  headers: number;
  /** From the first byte of a request to the end of its headers, ms. */
  headersWithinMs: number;
  /** From its first byte to its last, ms. */
  requestWithinMs: number;
  tlsHandshakeWithinMs: number;
  /** Idle time of a kept-alive connection, ms: a little longer than the usual 60 s of load balancers. */
  idleMs: number;
  /** Time without bytes in either direction, ms, such as when a client does not read its answer. Event streams send keep-alives more often. */
  stalledMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  connections: 10_000,
  connectionsPerAddress: 1_000,
  headerBytes: 16 * 1024,
  headers: 100,
  headersWithinMs: 10_000,
  requestWithinMs: 30_000,
  tlsHandshakeWithinMs: 10_000,
  idleMs: 65_000,
  stalledMs: 120_000,
};

/** Limits of an operations port (scrapers and probes), which has no rate limit. */
export const OPS_LIMITS: Partial<HttpLimits> = { connections: 200, connectionsPerAddress: 100 };

export type HttpRefusal = 'connections' | 'address-connections' | 'timeout' | 'headers-too-large' | 'malformed' | 'tls' | 'rate';

export function serverOptions(limits: HttpLimits): https.ServerOptions {
  return {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersWithinMs,
    requestTimeout: limits.requestWithinMs,
    connectionsCheckingInterval: Math.max(100, Math.min(1_000, limits.headersWithinMs / 2)),
    handshakeTimeout: limits.tlsHandshakeWithinMs,
    keepAliveTimeout: limits.idleMs,
  };
}

/** Enforces the limits on a server, and answers malformed HTTP with a problem too. */
export function enforceLimits(
  server: http.Server | https.Server,
  limits: HttpLimits,
  options: { isTrusted: (address: string) => boolean; onRefused: (reason: HttpRefusal) => void },
): void {
  server.maxHeadersCount = limits.headers;
  server.setTimeout(limits.stalledMs);
  boundConnections(server, limits, options);
  // The last response of each socket: once its first byte is sent, no error may be written to the socket.
  const answers = new WeakMap<Duplex, http.ServerResponse>();
  server.prependListener('request', (req: http.IncomingMessage, res: http.ServerResponse) => answers.set(req.socket, res));
  // Node reports a failed TLS handshake here too, where no answer can be written yet.
  const speaking = new WeakSet<Duplex>();
  const isTls = server instanceof https.Server;
  server.on('secureConnection', (socket: Duplex) => speaking.add(socket));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (isTls && !speaking.has(socket)) {
      options.onRefused('tls');
      return void socket.destroy();
    }
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const { reason, problem } = refusalOf(error, limits);
    options.onRefused(reason);
    if (answers.get(socket)?.headersSent) return void socket.destroy();
    socket.end(rawAnswer(problem), () => socket.destroy());
  });
}

function boundConnections(
  server: http.Server,
  limits: HttpLimits,
  { isTrusted, onRefused }: { isTrusted: (address: string) => boolean; onRefused: (reason: HttpRefusal) => void },
): void {
  server.maxConnections = limits.connections;
  server.on('drop', () => onRefused('connections'));
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress;
    if (address === undefined || isTrusted(address)) return;
    const group = clientGroup(address);
    const count = (open.get(group) ?? 0) + 1;
    open.set(group, count);
    socket.once('close', () => {
      const left = open.get(group)! - 1;
      if (left > 0) open.set(group, left);
      else open.delete(group);
    });
    if (count <= limits.connectionsPerAddress) return;
    onRefused('address-connections');
    socket.destroy();
  });
}

function refusalOf(error: NodeJS.ErrnoException, limits: HttpLimits): { reason: HttpRefusal; problem: Problem } {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        reason: 'headers-too-large',
        problem: new Problem(431, 'Request Header Fields Too Large', {
          detail: `request line and headers have at most ${limits.headerBytes} bytes; send fewer or shorter ones`,
        }),
      };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return {
        reason: 'timeout',
        problem: new Problem(408, 'Request Timeout', {
          detail: `headers within ${limits.headersWithinMs / 1000} s, the whole request within ${limits.requestWithinMs / 1000} s`,
        }),
      };
    default:
      return {
        reason: 'malformed',
        problem: new Problem(400, 'Bad Request', { detail: 'this is not HTTP/1.1 as in RFC 9112' }),
      };
  }
}

function rawAnswer(problem: Problem): string {
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
