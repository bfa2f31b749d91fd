import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import express from 'express';
import type { Request, Response } from 'express';
import type { HttpService, Logger } from '@millrace/service';
import { isLoopbackHost, requestJsonExcess } from '@millrace/api';
import { jsonBody, notFoundHandler, Problem, problemHandler, serveHttp } from '@millrace/service';
import { ownPageOnly, requirePassword } from './access.ts';
import { bundlePage } from './bundle.ts';

export interface ConsoleOptions {
  readonly host: string;
  readonly port: number;
  /** Control's HTTP base URL. */
  readonly controlUrl: string;
  /** Key with which this app calls control; it stays on the server. */
  readonly appKey: string;
  readonly logger: Logger;
  /** The stream that the page shows first. */
  readonly stream: string;
  /** The region in which the page watches first. */
  readonly region: string;
}

const page = new URL('page/', import.meta.url);

/**
 * Serves the console: a page that shows the network and plays a stream, and the small app backend that the page needs.
 * On loopback anyone may publish and watch; on other addresses only clients that have its app key.
 */
export async function startConsole(options: ConsoleOptions): Promise<HttpService> {
  const [script, html, style] = await Promise.all([
    bundlePage(new URL('main.ts', page)),
    readFile(new URL('index.html', page), 'utf8'),
    readFile(new URL('style.css', page), 'utf8'),
  ]);
  const app = express();
  app.disable('x-powered-by');
  app.use(ownPageOnly);
  if (!isLoopbackHost(options.host)) app.use(requirePassword(options.appKey));
  app.get('/', (_request, response) => void response.type('html').send(html));
  app.get('/style.css', (_request, response) => void response.type('css').send(style));
  app.get('/app.js', (_request, response) => void response.type('js').send(script));
  app.get('/favicon.ico', (_request, response) => void response.status(204).end());
  app.get('/api/settings', (_request, response) => void response.json({ stream: options.stream, region: options.region }));
  app.post('/api/place/:kind', jsonBody(8 * 1024, requestJsonExcess), async (request: Request<{ kind: string }>, response) => {
    if (request.params.kind !== 'push' && request.params.kind !== 'pull')
      throw new Problem(404, 'No such placement', { detail: 'use push or pull' });
    await pass(options, `/v1/${request.params.kind}`, { method: 'POST', body: JSON.stringify(request.body) }, response);
  });
  app.get('/api/topology', (_request, response) => pass(options, '/v1/topology', {}, response));
  app.get('/api/topology/events', (_request, response) => pass(options, '/v1/topology/events', {}, response));
  app.use(notFoundHandler);
  app.use(problemHandler(options.logger));
  return serveHttp(app, { host: options.host, port: options.port });
}

/** Forwards a request to control with the app key, and streams the answer back. */
async function pass(options: ConsoleOptions, path: string, init: RequestInit, response: Response): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const answer = await fetch(new URL(path, options.controlUrl), {
    ...init,
    headers: { authorization: `Bearer ${options.appKey}`, 'content-type': 'application/json' },
    signal: gone.signal,
  }).catch((error: unknown) => {
    if (gone.signal.aborted) return undefined;
    options.logger.warn({ err: error, path }, 'control does not answer');
    throw new Problem(502, 'Control does not answer', { detail: 'The network goes on; try again in a moment.' });
  });
  if (!answer) return;
  response.status(answer.status);
  const type = answer.headers.get('content-type');
  if (type) response.type(type);
  response.setHeader('cache-control', 'no-store');
  if (!answer.body) return void response.end();
  const body = Readable.fromWeb(answer.body as ReadableStream);
  body.on('error', () => response.destroy());
  response.flushHeaders();
  body.pipe(response);
}
