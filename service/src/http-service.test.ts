import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withoutIpv6 } from '@millrace/testkit';

test('on a machine without IPv6, a server listens on IPv4 where both families were asked for', async () => {
  const program = `
    import { serveHttp } from ${JSON.stringify(new URL('./http-service.ts', import.meta.url).href)};
    const app = (request, response) => response.end('here');
    const service = await serveHttp(app, { host: '::', port: 0, setting: 'port' });
    const answer = await fetch(service.url.replace('0.0.0.0', '127.0.0.1'));
    console.log(JSON.stringify({ host: new URL(service.url).hostname, text: await answer.text() }));
    await service.close();
  `;
  const [command, ...args] = withoutIpv6([process.execPath, '--input-type=module-typescript', '-e', program]);
  const { stdout } = await promisify(execFile)(command, args, { timeout: 20_000 });
  assert.equal((JSON.parse(stdout) as { text: string }).text, 'here');
});
