// The backend of an app: serves the page, and places its visitors with the app key, which no browser ever sees.
// Here everyone may watch and publish everything under `live/`; a real app decides that in `mayUse`.
//
//   CONTROL=http://127.0.0.1:7080 APP_KEY=... PORT=8000 node examples/page/server.ts
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { build } from 'esbuild';

const { CONTROL = 'http://127.0.0.1:7080', APP_KEY = '', PORT = '8000' } = process.env;
const here = import.meta.dirname;
const html = readFileSync(`${here}/index.html`);
const bundled = await build({ entryPoints: [`${here}/main.ts`], bundle: true, format: 'esm', write: false });
const script = bundled.outputFiles[0]!.contents;

function mayUse(_visitor: string, stream: string): boolean {
  return stream.startsWith('live/');
}

async function place(kind: string, stream: string, exclude: string[]): Promise<Response> {
  if (!['push', 'pull'].includes(kind) || !mayUse('somebody', stream))
    return new Response('{"title":"Forbidden"}', { status: 403 });
  return fetch(`${CONTROL}/v1/${kind}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${APP_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ stream, exclude }),
  });
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://app');
  if (url.pathname === '/') return void response.setHeader('content-type', 'text/html').end(html);
  if (url.pathname === '/main.js') return void response.setHeader('content-type', 'text/javascript').end(script);
  const kind = /^\/place\/(\w+)$/.exec(url.pathname)?.[1];
  if (!kind) return void response.writeHead(404).end();
  place(kind, url.searchParams.get('stream') ?? '', url.searchParams.getAll('exclude'))
    .then(async (answer) => response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text()))
    .catch(() => response.writeHead(502).end('{"title":"Control does not answer"}'));
});
server.listen(Number(PORT), '127.0.0.1', () => {
  const address = server.address();
  console.log(`http://127.0.0.1:${typeof address === 'object' ? address?.port : PORT}`);
});
