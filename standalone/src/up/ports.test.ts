import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { requirePorts } from './ports.ts';

test('every taken port is named with its part and the setting that chooses another', async () => {
  const holders = [createServer(), createServer()];
  const ports: number[] = [];
  for (const holder of holders) {
    holder.listen(0, '127.0.0.1');
    await once(holder, 'listening');
    ports.push((holder.address() as AddressInfo).port);
  }
  const [a = 0, b = 0] = ports;
  const wanted = [
    { name: 'the console', host: '127.0.0.1', port: a, flag: '--console-port' },
    { name: 'control', host: '127.0.0.1', port: b, flag: '--control-port' },
    { name: 'the API', host: '127.0.0.1', port: 0, flag: '--api-port' },
  ];
  await assert.rejects(requirePorts(wanted), (error: Error) => {
    assert.match(
      error.message,
      new RegExp(`the console cannot listen on 127.0.0.1:${a}: another process.*MILLRACE_CONSOLE_PORT=`),
    );
    assert.match(error.message, new RegExp(`control cannot listen on 127.0.0.1:${b}: another process.*--control-port`));
    assert.doesNotMatch(error.message, /API/);
    return true;
  });
  for (const holder of holders) holder.close();
  await Promise.all(holders.map((holder) => once(holder, 'close')));
  await requirePorts(wanted);
});
