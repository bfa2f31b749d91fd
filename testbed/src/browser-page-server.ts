import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Serves the pages of a test browser from one http origin on this machine. */
export interface PageServer {
  readonly url: string;
  close(): void;
}

/**
 * `GET /` is a page with only a video element. `POST /forward?to=URL` forwards a JSON body to another server, as an app's own backend would;
 * when that server does not answer, this one does not either.
 */
export async function startPageServer(): Promise<PageServer> {
  const server = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://page');
    if (request.method === 'POST' && pathname === '/forward')
      return void forward(request, response, searchParams.get('to') ?? '').catch(() => response.destroy());
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>millrace</title><video autoplay playsinline></video>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function forward(request: IncomingMessage, response: ServerResponse, to: string): Promise<void> {
  const body = await text(request);
  const answer = await fetch(to, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  response.writeHead(answer.status, { 'content-type': 'application/json' });
  response.end(await answer.text());
}
