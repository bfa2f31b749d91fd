import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ArqPeer } from '../testing/arq-peer.ts';
import { seededRandom } from '@millrace/service';
import { SegmentCommand } from './segment.ts';

const STEP_MS = 5;

/** Lets two peers 20 ms apart exchange datagrams until a time (what is on its way then is lost); `pass` decides which arrive. */
function exchange(
  a: ArqPeer,
  b: ArqPeer,
  untilMs: number,
  pass: (from: ArqPeer, datagram: Buffer) => boolean = () => true,
  at: Record<number, () => void> = {},
): void {
  const inFlight: { atMs: number; to: ArqPeer; datagram: Buffer }[] = [];
  for (let nowMs = Math.max(a.nowMs, b.nowMs); nowMs <= untilMs; nowMs += STEP_MS) {
    at[nowMs]?.();
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      for (const datagram of from.poll(nowMs)) if (pass(from, datagram)) inFlight.push({ atMs: nowMs + 20, to, datagram });
    }
    while (inFlight[0] && inFlight[0].atMs <= nowMs) {
      const { to, datagram } = inFlight.shift()!;
      to.receive(datagram, nowMs);
    }
  }
}

const commands = (datagram: Buffer): { conversation: number; command: number; serial: number; una: number }[] => {
  const found = [];
  for (let at = 0; at < datagram.length; at += 24 + datagram.readUInt32LE(at + 20)) {
    const [conversation, serial, una] = [
      datagram.readUInt32LE(at),
      datagram.readUInt32LE(at + 12),
      datagram.readUInt32LE(at + 16),
    ];
    found.push({ conversation, command: datagram[at + 4]!, serial, una });
  }
  return found;
};

describe('KCP conversations', () => {
  test('a push has the reference layout: conv, cmd, frg, wnd, ts (in 10 µs), sn, una, len, little-endian', () => {
    const peer = new ArqPeer({ receiveWindow: 1024 });
    peer.sendMedia(0x11223344, 'hi');
    const [datagram] = peer.poll(0x01020304 / 100 + 0.001);
    assert.equal(
      datagram!.toString('hex'),
      '44332211' + '51' + '00' + '0004' + '04030201' + '00000000' + '00000000' + '02000000' + '6869',
    );
  });

  test('what one conversation lost holds up no other, nor what came later in the same one', () => {
    const [a, b] = [new ArqPeer(), new ArqPeer()];
    for (let i = 0; i < 10; i++) {
      a.sendMedia(1, `1-${i}`);
      a.sendMedia(2, `2-${i}`);
    }
    exchange(
      a,
      b,
      25,
      (from, datagram) => from !== a || !(commands(datagram)[0]!.conversation === 1 && commands(datagram)[0]!.serial === 0),
    );
    assert.deepEqual(b.media.filter(({ conversation }) => conversation === 2).length, 10);
    assert.deepEqual(b.media.filter(({ conversation }) => conversation === 1).length, 9);
  });

  test('a lost segment is sent again as soon as two later datagrams were acknowledged', () => {
    const [a, b] = [new ArqPeer({ intervalMs: 1 }), new ArqPeer({ intervalMs: 1 })];
    const send = (text: string) => () => a.sendMedia(1, text);
    let retransmittedMs = 0;
    const loseOnce = (from: ArqPeer, datagram: Buffer): boolean => {
      if (from !== a || !datagram.includes('lost at first')) return true;
      if (retransmittedMs === 0) {
        retransmittedMs = -1;
        return false;
      }
      retransmittedMs = a.nowMs;
      return true;
    };
    // The timeout would be 60 ms or more: what comes sooner was asked for by the acknowledgements of the second and the third.
    const schedule = { 0: send('warm-up'), 100: send('lost at first'), 105: send('second'), 110: send('third') };
    exchange(a, b, 300, loseOnce, schedule);
    assert.equal(retransmittedMs, 160);
    assert.equal(a.arq.counters.retransmitted, 1);
    assert.equal(b.media.length, 4);
  });

  test('a run of arrivals without gaps costs one acknowledgement, whose una frees them all', () => {
    const [a, b] = [new ArqPeer(), new ArqPeer()];
    for (let i = 0; i < 50; i++) a.sendMedia(1, `${i}`);
    const acks: ReturnType<typeof commands> = [];
    exchange(a, b, 100, (from, datagram) => {
      if (from === b) acks.push(...commands(datagram));
      return true;
    });
    assert.deepEqual(acks, [{ conversation: 1, command: SegmentCommand.ack, serial: 49, una: 50 }]);
    assert.equal(a.arq.counters.retransmitted, 0);
  });

  test('the receiver gives a segment up after its deadline, and its una frees a sender that knows of no deadlines', () => {
    const [a, b] = [new ArqPeer(), new ArqPeer({ deadlineMs: 300 })];
    for (let i = 0; i < 5; i++) a.sendMedia(1, `${i}`);
    const loseSecond = (from: ArqPeer, datagram: Buffer): boolean => from !== a || commands(datagram)[0]!.serial !== 1;
    exchange(a, b, 300, loseSecond);
    const retransmittedBefore = a.arq.counters.retransmitted;
    assert.ok(retransmittedBefore > 0);
    exchange(a, b, 400, loseSecond);
    assert.equal(b.arq.counters.givenUp, 1);
    const { retransmitted } = a.arq.counters;
    exchange(a, b, 2_000, loseSecond);
    assert.equal(a.arq.counters.retransmitted, retransmitted);
  });

  test('a sender drops what is overdue only for a peer that announced that it understands', () => {
    for (const mayAbandon of [false, true]) {
      const [a, b] = [new ArqPeer(), new ArqPeer({ deadlineMs: 60_000 })];
      a.arq.mayAbandon = mayAbandon;
      for (let i = 0; i < 3; i++) a.sendMedia(1, `${i}`, 100);
      exchange(a, b, 1_000, (from, datagram) => from !== a || commands(datagram)[0]!.serial !== 0);
      assert.equal(a.arq.counters.abandoned, mayAbandon ? 1 : 0);
      const forwards = a.arq.takeForwards();
      assert.deepEqual(
        forwards.map(({ id, una }) => ({ id, una })),
        mayAbandon ? new Array(4).fill({ id: 1, una: 3 }) : [],
      );
      for (const { id, una } of forwards) b.arq.receiveForward(id, una, 1_000);
      assert.equal(b.arq.counters.givenUp, mayAbandon ? 1 : 0);
    }
  });

  test('serials go on over the 32-bit wrap', () => {
    const b = new ArqPeer();
    b.arq.receiveForward(1, 0x7fff_ff00, 0);
    b.arq.receiveForward(1, 0xf000_0000, 0);
    b.arq.receiveForward(1, 0xffff_fff0, 0);
    const push = (serial: number): Buffer => {
      const peer = new ArqPeer();
      peer.sendMedia(1, `${serial}`);
      const [datagram] = peer.poll(0);
      datagram!.writeUInt32LE(serial, 12);
      return datagram!;
    };
    for (let i = 0; i < 40; i++) b.receive(push((0xffff_fff0 + i) >>> 0), i);
    assert.equal(b.media.length, 40);
    assert.equal(b.arq.counters.givenUp, 0);
  });

  test('arbitrary bytes are counted, never thrown, and spoil no conversation', () => {
    const [a, b] = [new ArqPeer(), new ArqPeer()];
    const field = fc.oneof(fc.nat({ max: 3 }), fc.integer({ min: 0, max: 0xffff_ffff }));
    const segment = fc.record({
      conversation: field,
      command: fc.integer({ min: 79, max: 86 }),
      serial: field,
      una: field,
      length: fc.nat({ max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 4 }), fc.uint8Array({ maxLength: 60 }), (segments, noise) => {
        const parts = segments.map(({ conversation, command, serial, una, length }) => {
          const bytes = Buffer.alloc(24 + length);
          bytes.writeUInt32LE(conversation === 0 ? 99 : conversation, 0);
          bytes[4] = command;
          bytes.writeUInt16LE(length, 6);
          bytes.writeUInt32LE(serial, 12);
          bytes.writeUInt32LE(una, 16);
          bytes.writeUInt32LE(length, 20);
          return bytes;
        });
        b.receive(Buffer.concat([...parts, Buffer.from(noise.slice(0, 23))]), 0);
        b.poll(1);
      }),
    );
    assert.ok(b.arq.counters.malformed > 0);
    a.arq.queueControl(Buffer.from('sane'));
    exchange(a, b, 500);
    assert.deepEqual(b.control, ['sane']);
  });

  test('a control message of many segments comes whole, one that is too long is refused with the limit', () => {
    const [a, b] = [new ArqPeer(), new ArqPeer()];
    const long = 'x'.repeat(200_000);
    a.arq.queueControl(Buffer.from(long));
    const random = seededRandom(1);
    exchange(a, b, 8_000, () => random() > 0.3);
    assert.deepEqual(b.control, [long]);
    assert.throws(() => a.arq.queueControl(Buffer.alloc(400_000)), /at most 299880 fit/);
  });
});
