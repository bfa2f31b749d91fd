import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withoutIpv6 } from '@millrace/testkit';

test('on a machine without IPv6, trunks listen on IPv4 where both families were asked for', async () => {
  const program = `
    import { DgramIo } from ${JSON.stringify(new URL('./dgram.ts', import.meta.url).href)};
    const [from, to] = [await DgramIo.open({ host: '::', port: 0 }), await DgramIo.open({ host: '::', port: 0 })];
    to.onBatch = (batch) => {
      console.log(JSON.stringify({ local: to.local.address, heard: batch.map(({ data }) => String(data)) }));
      process.exit();
    };
    from.sendBatch([{ data: Buffer.from('hello'), to: { address: '127.0.0.1', port: to.local.port } }]);
    await DgramIo.open({ host: '::1', port: 0 }).catch(({ code }) => console.error(code));
  `;
  const [command, ...args] = withoutIpv6([process.execPath, '--input-type=module-typescript', '-e', program]);
  const { stdout, stderr } = await promisify(execFile)(command, args, { timeout: 20_000 });
  assert.deepEqual(JSON.parse(stdout), { local: '0.0.0.0', heard: ['hello'] });
  assert.match(stderr, /EAFNOSUPPORT/, 'the machine has no IPv6');
});
