import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { MemoryApi } from './memory-api.ts';

/**
 * A fault in an answer: after `afterBytes` the connection is reset, as when a process is killed, or it stalls and stays open.
 */
export type Break = { afterBytes: number; how: 'reset' | 'stall' };

/** A MemoryApi on a real socket, for connection faults. */
export class ApiOnSockets {
  readonly url: string;
  /** Called once per answer; returns the fault to inject. */
  breaks: (request: http.IncomingMessage) => Break | undefined = () => undefined;
  /** The bytes of all answer bodies. */
  bytesSent = 0;
  requests = 0;
  readonly #server: http.Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: http.Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(api: MemoryApi): Promise<ApiOnSockets> {
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const self = new ApiOnSockets(server);
    server.on('request', (request, answer) => void self.#serve(api, request, answer).catch(() => answer.destroy()));
    return self;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Resets all connections, as a restart of the server does. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    this.resetAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(api: MemoryApi, request: http.IncomingMessage, answer: http.ServerResponse): Promise<void> {
    this.requests++;
    const sent = await bodyOf(request);
    const gone = new AbortController();
    answer.on('close', () => gone.abort(new Error('the client closed the connection')));
    const { status, headers, body } = await api.send({
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers: request.headers as Record<string, string>,
      ...(sent === '' ? {} : { body: sent }),
      signal: gone.signal,
    });
    let left = this.breaks(request);
    answer.writeHead(status, headers);
    answer.flushHeaders();
    for await (const chunk of body) {
      if (left && chunk.length >= left.afterBytes) {
        answer.write(chunk.subarray(0, left.afterBytes));
        if (left.how === 'reset') answer.socket?.resetAndDestroy();
        return;
      }
      if (left) left = { ...left, afterBytes: left.afterBytes - chunk.length };
      this.bytesSent += chunk.length;
      answer.write(chunk);
    }
    answer.end();
  }
}

async function bodyOf(request: http.IncomingMessage): Promise<string> {
  let text = '';
  request.setEncoding('utf8');
  for await (const part of request) text += part as string;
  return text;
}
