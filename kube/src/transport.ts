import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '@millrace/service';
import { abortable } from './abortable.ts';
import { ClusterConnection, type Connection } from './connection.ts';
import { KubeError } from './errors.ts';

export interface HttpRequest {
  method: string;
  /** The path with its query string. */
  path: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  /** Called immediately before the first byte is sent. If it throws, nothing is sent and the request fails with that error. */
  beforeSend?: () => void;
}

export interface HttpResponse {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** A reader that stops early, or an abort of the request's signal, closes the connection. */
  body: AsyncIterable<Uint8Array>;
}

/** Sends requests to an API server; tests replace it. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): void;
}

/** HTTP/1.1 over Node's http and https modules: one keep-alive agent, and a connection for each watch. */
export class NodeTransport implements Transport {
  readonly #connection: ClusterConnection;

  constructor(kubeconfig: KubeConfig, clock: Clock) {
    this.#connection = new ClusterConnection(kubeconfig, clock);
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    const reading = this.#connection.current().catch((error: unknown) => {
      throw KubeError.local('ConnectionFailed', `credentials: ${messageOf(error)}`);
    });
    const connection = await abortable(reading, request.signal); // a credential plugin may block
    const response = await exchange(connection, request).catch((error: unknown) => {
      // The server closed a keep-alive connection as we wrote. Only a read may be retried: a write may have been executed.
      if (error instanceof StaleConnection && request.method === 'GET') return exchange(connection, request);
      throw error;
    });
    if (response.status === 401) this.#connection.invalidate();
    return response;
  }

  close(): void {
    this.#connection.close();
  }
}

class StaleConnection extends KubeError {}

function exchange(connection: Connection, request: HttpRequest): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const { baseUrl } = connection;
    const length: Record<string, string> =
      request.body === undefined ? {} : { 'content-length': `${Buffer.byteLength(request.body)}` };
    const outgoing = (baseUrl.protocol === 'https:' ? https : http).request({
      protocol: baseUrl.protocol,
      hostname: baseUrl.hostname.replace(/^\[|\]$/g, ''),
      port: baseUrl.port,
      method: request.method,
      path: baseUrl.pathname.replace(/\/$/, '') + request.path,
      headers: { 'user-agent': 'millrace', accept: 'application/json', ...connection.headers, ...request.headers, ...length },
      agent: connection.agent,
      signal: request.signal,
    });
    let sent = false;
    let refused: Error | undefined;
    outgoing.on('error', (error) => {
      const { aborted, reason } = request.signal as { aborted: boolean; reason: Error };
      if (aborted) return reject(reason);
      if (refused) return reject(refused);
      const where = `${request.method} ${request.path.split('?')[0]}: ${messageOf(error)}`;
      if (!sent) return reject(KubeError.local('ConnectionFailed', where));
      const stale = outgoing.reusedSocket && ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
      reject(stale ? new StaleConnection(0, 'ConnectionLost', where) : KubeError.local('ConnectionLost', where));
    });
    outgoing.on('response', (incoming) => {
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: incoming });
    });
    outgoing.on('socket', (socket) => {
      whenConnected(socket, baseUrl.protocol, () => {
        try {
          request.beforeSend?.();
        } catch (error) {
          refused = error as Error;
          outgoing.destroy(refused);
          return;
        }
        sent = true;
        outgoing.end(request.body);
      });
    });
  });
}

/** Runs `then` once the socket can send: at once on a reused connection, else after the TCP or TLS handshake. */
function whenConnected(socket: Socket, protocol: string, then: () => void): void {
  const handshaking = protocol === 'https:' && (socket as Socket & { secureConnecting?: boolean }).secureConnecting === true;
  if (handshaking) socket.once('secureConnect', then);
  else if (socket.connecting) socket.once('connect', then);
  else then();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
