import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Asked {
  method: string;
  /** The path without its query string. */
  path: string;
  query: URLSearchParams;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Handles one request. The script must end the answer itself. */
export type Script = (asked: Asked, answer: http.ServerResponse) => void | Promise<void>;

/** A server on a real socket that executes the script of a test: it answers, drops or stalls. */
export class ScriptedServer {
  readonly asked: Asked[] = [];
  readonly sockets = new Set<Socket>();
  readonly #server: http.Server;
  #connections = 0;

  private constructor(script: Script) {
    this.#server = http.createServer((request, answer) => {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (text: string) => (body += text));
      request.on('end', () => {
        const url = new URL(request.url ?? '/', 'http://server');
        const asked = {
          method: request.method ?? '',
          path: url.pathname,
          query: url.searchParams,
          headers: request.headers,
          body,
        };
        this.asked.push(asked);
        void script(asked, answer);
      });
    });
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', (socket) => {
      this.#connections++;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  static async start(script: Script): Promise<ScriptedServer> {
    const server = new ScriptedServer(script);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The number of connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function json(answer: http.ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers });
  answer.end(JSON.stringify(value));
}

export function status(answer: http.ServerResponse, code: number, reason: string, message = reason): void {
  json(answer, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message });
}
