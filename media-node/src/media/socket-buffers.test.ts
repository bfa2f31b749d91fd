import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createWorker } from 'mediasoup';
import { listenInfo } from './cores.ts';

const PACKET_BYTES = 1_200;
/** What Linux counts for one such packet, at most: its own bookkeeping and a buffer of the next power of two. */
const COUNTED_BYTES = 4_096;
/** A replay of 0.6 s at 8 Mbit/s, and more. */
const BURST = 500;

test('a burst that comes while the worker is busy waits in the buffer of its socket', async (t) => {
  // The kernel doubles what it is asked for, up to its limit.
  const granted = 2 * Math.min(4 * 2 ** 20, Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8')));
  const burst = Math.min(BURST, Math.floor(granted / COUNTED_BYTES));
  const worker = await createWorker();
  t.after(() => worker.close());
  const router = await worker.createRouter();
  const transport = await router.createPlainTransport({ listenInfo: listenInfo('127.0.0.1', {}), comedia: true });
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const { localPort } = transport.tuple;
  const packet = Buffer.alloc(PACKET_BYTES);
  packet[0] = 0x80;
  process.kill(worker.pid, 'SIGSTOP');
  try {
    for (let sequence = 0; sequence < burst; sequence++) {
      packet.writeUInt16BE(sequence, 2);
      await new Promise((resolve) => socket.send(Buffer.from(packet), localPort, '127.0.0.1', resolve));
    }
  } finally {
    process.kill(worker.pid, 'SIGCONT');
  }
  let received = 0;
  for (let tries = 0; tries < 100 && received < burst * PACKET_BYTES; tries++) {
    await delay(20);
    received = (await transport.getStats())[0]!.bytesReceived;
  }
  assert.equal(received, burst * PACKET_BYTES);
});
