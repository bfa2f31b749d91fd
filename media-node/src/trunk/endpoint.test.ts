import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { DgramIo, type MeshKey, type Trunk, TrunkEndpoint } from './index.ts';

const KEYS: MeshKey[] = [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }];

async function endpoint(node: string): Promise<{ endpoint: TrunkEndpoint; host: string; port: number }> {
  const io = await DgramIo.open({ host: '127.0.0.1', port: 0 });
  return { endpoint: new TrunkEndpoint({ io, self: { node }, keys: KEYS }), host: '127.0.0.1', port: io.local.port };
}

async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

describe('Two endpoints on loopback sockets', () => {
  test('exchange control and media once one dialled the other, and notice when one is gone', async () => {
    const a = await endpoint('node-a');
    const b = await endpoint('node-b');
    const accepted = once(b.endpoint, 'trunk') as Promise<[Trunk]>;
    const toB = a.endpoint.dial({ node: 'node-b', host: b.host, port: b.port });
    assert.equal(a.endpoint.dial({ node: 'node-b', host: b.host, port: b.port }), toB);
    await within(once(toB, 'up'), 2000, 'coming up');
    const [toA] = await within(accepted, 2000, 'being accepted');
    assert.equal(toA.peer, 'node-a');

    const control: string[] = [];
    const media: [number, number][] = [];
    const done = new Promise<void>((resolve) => {
      const look = (): void => {
        if (media.length === 300 && control.length === 3) resolve();
      };
      toA.onControl = (message) => {
        control.push(message.length > 100 ? `${message.length}` : message.toString());
        look();
      };
      toA.onMedia = (conversation, payload) => {
        media.push([conversation, payload.readUInt32LE(0)]);
        look();
      };
    });
    toB.setInUse(true);
    assert.ok(toB.sendControl(Buffer.from('one')));
    assert.ok(toB.sendControl(Buffer.alloc(100_000)));
    assert.ok(toB.sendControl(Buffer.from('three')));
    for (let i = 0; i < 300; i++) {
      const payload = Buffer.alloc(1100);
      payload.writeUInt32LE(i);
      assert.ok(toB.sendMedia({ conversation: 1 + (i % 2), priority: i % 2 ? 'audio' : 'video', payload }));
    }
    await within(done, 3000, 'delivery');
    assert.deepEqual(control, ['one', '100000', 'three']);
    assert.equal(new Set(media.map(([, i]) => i)).size, 300);

    const lost = once(toB, 'lost');
    await b.endpoint.close();
    assert.deepEqual(await within(lost, 2000, 'noticing'), ['peerClosed']);
    await a.endpoint.close();
  });
});
