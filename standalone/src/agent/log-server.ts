import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { LogFile } from './log-file.ts';

/** Serves `/containerLogs/POD-UID/CONTAINER?tailLines=&follow=` on a unix socket that only this user can reach. */
export async function serveLogs(
  socketPath: string,
  find: (podUid: string, container: string) => LogFile | undefined,
): Promise<() => void> {
  rmSync(socketPath, { force: true });
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://agent');
    const [root, uid = '', container = ''] = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
    const log = root === 'containerLogs' ? find(uid, container) : undefined;
    if (!log) return void response.writeHead(404, { 'Content-Type': 'text/plain' }).end(`no log of container ${container}\n`);
    const tail = Number(url.searchParams.get('tailLines') ?? NaN);
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.write(log.read(Number.isInteger(tail) && tail >= 0 ? tail : undefined));
    if (url.searchParams.get('follow') !== 'true') return void response.end();
    const stop = log.follow((chunk) => void response.write(chunk));
    response.on('close', stop);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  return () => {
    server.close();
    server.closeAllConnections();
  };
}
