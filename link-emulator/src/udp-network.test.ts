import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import { UdpNetwork, type UdpAddress } from './udp-network.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

function network(options: ConstructorParameters<typeof UdpNetwork>[0] = {}): UdpNetwork {
  const made = new UdpNetwork(options);
  open.push(() => made.close());
  return made;
}

class Peer {
  readonly received: { text: string; from: UdpAddress; atMs: number }[] = [];
  readonly socket: Socket;

  static async open(): Promise<Peer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Peer(socket);
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    open.push(() => socket.close());
    socket.on('message', (data, { address, port }) =>
      this.received.push({ text: data.toString(), from: { address, port }, atMs: performance.now() }),
    );
  }

  get nodeAddress(): UdpAddress {
    const { address, port } = this.socket.address();
    return { address, port };
  }

  send(text: string, to: UdpAddress): void {
    this.socket.send(text, to.port, to.address);
  }

  async until(count: number): Promise<void> {
    while (this.received.length < count) await once(this.socket, 'message');
  }
}

describe('a network of emulated links', () => {
  test('gives each node one proxy address, whichever side sends first', async () => {
    const net = network();
    const [a, b, c] = [await Peer.open(), await Peer.open(), await Peer.open()];
    const [atA, atB, atC] = [
      await net.addNode('a', a.nodeAddress),
      await net.addNode('b', b.nodeAddress),
      await net.addNode('c', c.nodeAddress),
    ];
    a.send('from a', atB.proxy);
    await b.until(1);
    assert.deepEqual(b.received[0]!.from, atA.proxy);
    b.send('answer', b.received[0]!.from);
    c.send('from c', atA.proxy);
    await a.until(2);
    assert.deepEqual(
      new Map(a.received.map(({ text, from }) => [text, from])),
      new Map([
        ['answer', atB.proxy],
        ['from c', atC.proxy],
      ]),
    );
  });

  test('delays each direction by its own link, and reports its timing error', async () => {
    const net = network({ profile: (from) => ({ delayMs: from === 'a' ? 60 : 5 }) });
    const [a, b] = [await Peer.open(), await Peer.open()];
    await net.addNode('a', a.nodeAddress);
    const { proxy } = await net.addNode('b', b.nodeAddress);
    const startMs = performance.now();
    a.send('there', proxy);
    await b.until(1);
    const thereMs = performance.now() - startMs;
    b.send('back', b.received[0]!.from);
    await a.until(1);
    assert.ok(thereMs >= 59.4, `${thereMs} ms there`);
    assert.ok(performance.now() - startMs >= 64, 'and back');
    const { datagrams, maxMs } = net.takeLateness();
    assert.equal(datagrams, 2);
    assert.ok(maxMs > 0);
    assert.equal(net.takeLateness().datagrams, 0);
  });

  test('cuts one direction while it runs, and counts the dropped datagrams', async () => {
    const net = network();
    const [a, b] = [await Peer.open(), await Peer.open()];
    const atA = await net.addNode('a', a.nodeAddress);
    const atB = await net.addNode('b', b.nodeAddress);
    net.change('a', 'b', { cut: true });
    a.send('lost', atB.proxy);
    b.send('comes', atA.proxy);
    await a.until(1);
    net.change('a', 'b', { cut: false });
    a.send('comes too', atB.proxy);
    await b.until(1);
    assert.equal(b.received[0]!.text, 'comes too');
    assert.equal(net.link('a', 'b').there.counters.cut, 1);
    assert.equal(net.link('b', 'a').there.counters.cut, 0);
    assert.equal(net.link('b', 'a').back, net.link('a', 'b').there);
  });

  test('drops datagrams of unknown senders, or gives each of them a proxy if allowed', async () => {
    const closed = network();
    const [server, one, two] = [await Peer.open(), await Peer.open(), await Peer.open()];
    const { proxy } = await closed.addNode('server', server.nodeAddress);
    one.send('?', proxy);
    while (closed.dropped.stranger === 0) await new Promise((resolve) => setTimeout(resolve, 5));

    const welcoming = network({ strangers: true });
    const hall = await welcoming.addNode('server', server.nodeAddress);
    one.send('one', hall.proxy);
    two.send('two', hall.proxy);
    await server.until(2);
    const from = new Map(server.received.map((each) => [each.text, each.from]));
    assert.notEqual(from.get('one')!.port, from.get('two')!.port);
    server.send('to two', from.get('two')!);
    await two.until(1);
    assert.deepEqual(two.received[0], { ...two.received[0]!, text: 'to two', from: hall.proxy });
    assert.equal(one.received.length, 0);
  });

  test('follows a node that restarted behind its proxy', async () => {
    const net = network();
    const [a, b, again] = [await Peer.open(), await Peer.open(), await Peer.open()];
    await net.addNode('a', a.nodeAddress);
    const { proxy } = await net.addNode('b', b.nodeAddress);
    net.moveNode('b', again.nodeAddress);
    a.send('hello', proxy);
    await again.until(1);
    assert.equal(b.received.length, 0);
  });

  test('flips one bit of a corrupted datagram and keeps its length', async () => {
    const net = network({ profile: () => ({ corruption: 1 }) });
    const [a, b] = [await Peer.open(), await Peer.open()];
    await net.addNode('a', a.nodeAddress);
    const { proxy } = await net.addNode('b', b.nodeAddress);
    a.send('\0'.repeat(100), proxy);
    await b.until(1);
    const bytes = Buffer.from(b.received[0]!.text, 'latin1');
    assert.equal([...bytes].filter((byte) => byte !== 0).length, 1);
  });

  test('rejects a duplicate name and an unknown name', async () => {
    const net = network();
    await net.addNode('a', { address: '127.0.0.1', port: 9 });
    await assert.rejects(net.addNode('a', { address: '127.0.0.1', port: 9 }), /node a already exists/);
    assert.throws(() => net.link('a', 'b'), /no node b; known nodes: a/);
  });
});
