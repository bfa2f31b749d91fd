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

  get home(): UdpAddress {
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

describe('A network of emulated links', () => {
  test('shows each node to the others at its door, whoever speaks first', async () => {
    const net = network();
    const [a, b, c] = [await Peer.open(), await Peer.open(), await Peer.open()];
    const [atA, atB, atC] = [await net.addNode('a', a.home), await net.addNode('b', b.home), await net.addNode('c', c.home)];
    a.send('from a', atB.door);
    await b.until(1);
    assert.deepEqual(b.received[0]!.from, atA.door);
    b.send('answer', b.received[0]!.from);
    c.send('from c', atA.door);
    await a.until(2);
    assert.deepEqual(
      new Map(a.received.map(({ text, from }) => [text, from])),
      new Map([
        ['answer', atB.door],
        ['from c', atC.door],
      ]),
    );
  });

  test('delays each direction by its own link, and says how exact it was', async () => {
    const net = network({ profile: (from) => ({ delayMs: from === 'a' ? 60 : 5 }) });
    const [a, b] = [await Peer.open(), await Peer.open()];
    await net.addNode('a', a.home);
    const { door } = await net.addNode('b', b.home);
    const startMs = performance.now();
    a.send('there', door);
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

  test('cuts one direction while it runs, and counts what was lost so', async () => {
    const net = network();
    const [a, b] = [await Peer.open(), await Peer.open()];
    const atA = await net.addNode('a', a.home);
    const atB = await net.addNode('b', b.home);
    net.change('a', 'b', { cut: true });
    a.send('lost', atB.door);
    b.send('comes', atA.door);
    await a.until(1);
    net.change('a', 'b', { cut: false });
    a.send('comes too', atB.door);
    await b.until(1);
    assert.equal(b.received[0]!.text, 'comes too');
    assert.equal(net.link('a', 'b').there.counters.cut, 1);
    assert.equal(net.link('b', 'a').there.counters.cut, 0);
    assert.equal(net.link('b', 'a').back, net.link('a', 'b').there);
  });

  test('lets in only whom it knows, unless strangers are welcome, who then have a door each', async () => {
    const closed = network();
    const [server, one, two] = [await Peer.open(), await Peer.open(), await Peer.open()];
    const { door } = await closed.addNode('server', server.home);
    one.send('?', door);
    while (closed.dropped.stranger === 0) await new Promise((resolve) => setTimeout(resolve, 5));

    const welcoming = network({ strangers: true });
    const hall = await welcoming.addNode('server', server.home);
    one.send('one', hall.door);
    two.send('two', hall.door);
    await server.until(2);
    const from = new Map(server.received.map((each) => [each.text, each.from]));
    assert.notEqual(from.get('one')!.port, from.get('two')!.port);
    server.send('to two', from.get('two')!);
    await two.until(1);
    assert.deepEqual(two.received[0], { ...two.received[0]!, text: 'to two', from: hall.door });
    assert.equal(one.received.length, 0);
  });

  test('follows a node that was started anew behind its door', async () => {
    const net = network();
    const [a, b, again] = [await Peer.open(), await Peer.open(), await Peer.open()];
    await net.addNode('a', a.home);
    const { door } = await net.addNode('b', b.home);
    net.moveNode('b', again.home);
    a.send('hello', door);
    await again.until(1);
    assert.equal(b.received.length, 0);
  });

  test('turns over one bit of a damaged datagram and leaves its length', async () => {
    const net = network({ profile: () => ({ corruption: 1 }) });
    const [a, b] = [await Peer.open(), await Peer.open()];
    await net.addNode('a', a.home);
    const { door } = await net.addNode('b', b.home);
    a.send('\0'.repeat(100), door);
    await b.until(1);
    const bytes = Buffer.from(b.received[0]!.text, 'latin1');
    assert.equal([...bytes].filter((byte) => byte !== 0).length, 1);
  });

  test('refuses a name that is taken and one that nobody has', async () => {
    const net = network();
    await net.addNode('a', { address: '127.0.0.1', port: 9 });
    await assert.rejects(net.addNode('a', { address: '127.0.0.1', port: 9 }), /node a is there already/);
    assert.throws(() => net.link('a', 'b'), /no node b; there are a/);
  });
});
