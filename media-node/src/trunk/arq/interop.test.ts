import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { Opaque, Writable } from '@hazae41/binary';
import { KcpDuplex } from '@hazae41/kcp';
import { ArqPeer } from '../testing/arq-peer.ts';
import { seededRandom } from '@millrace/service';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An independent implementation of KCP: retransmissions by timeout only, orders, heeds acknowledgements but not una. */
class OtherKcp {
  readonly received: string[] = [];
  private readonly kcp: KcpDuplex;
  private readonly fromNetwork: WritableStreamDefaultWriter<Opaque>;
  private readonly fromApplication: WritableStreamDefaultWriter<Writable>;

  constructor(conversation: number, toNetwork: (datagram: Buffer) => void) {
    this.kcp = new KcpDuplex({ conversation, lowDelay: 50, highDelay: 60_000 });
    this.fromNetwork = this.kcp.inner.writable.getWriter();
    this.fromApplication = this.kcp.outer.writable.getWriter();
    const network = new WritableStream<Writable>({
      write: (segment) => toNetwork(Buffer.from(Writable.writeToBytesOrThrow(segment))),
    });
    const application = new WritableStream<Opaque>({
      write: ({ bytes }) => void this.received.push(Buffer.from(bytes).toString()),
    });
    void this.kcp.inner.readable.pipeTo(network).catch(() => undefined);
    void this.kcp.outer.readable.pipeTo(application).catch(() => undefined);
  }

  send(text: string): void {
    void this.fromApplication.write(new Opaque(Buffer.from(text)));
  }

  receive(datagram: Buffer): void {
    void this.fromNetwork.write(new Opaque(new Uint8Array(datagram)));
  }

  close(): void {
    this.kcp.close();
  }
}

/** Hundred messages each way over a path that loses and delays both directions alike. */
async function converse(conversation: number, loss: number): Promise<{ ours: ArqPeer; theirs: OtherKcp; sent: string[] }> {
  const random = seededRandom(conversation + 1);
  const inFlight: { atMs: number; deliver: () => void }[] = [];
  let nowMs = 0;
  const post = (deliver: () => void): void => {
    if (random() >= loss) inFlight.push({ atMs: nowMs + 10 + random() * 20, deliver });
  };
  const ours = new ArqPeer({ deadlineMs: 60_000 });
  const theirs = new OtherKcp(conversation, (datagram) => post(() => ours.receive(datagram, nowMs)));
  const sent: string[] = [];
  for (; nowMs < 10_000; nowMs += 5) {
    if (nowMs % 20 === 0 && sent.length < 100) {
      const text = `message ${sent.length}`;
      sent.push(text);
      theirs.send(text);
      if (conversation === 0) ours.arq.queueControl(Buffer.from(text));
      else ours.sendMedia(conversation, text);
    }
    for (const datagram of ours.poll(nowMs)) post(() => theirs.receive(datagram));
    for (const due of inFlight.filter(({ atMs }) => atMs <= nowMs)) {
      inFlight.splice(inFlight.indexOf(due), 1);
      due.deliver();
    }
    mock.timers.tick(5);
    await turn();
  }
  theirs.close();
  return { ours, theirs, sent };
}

describe('KCP with an independent implementation', () => {
  for (const loss of [0, 0.2]) {
    test(`the control conversation is complete and in order both ways at ${loss * 100}% loss`, async () => {
      mock.timers.enable({ apis: ['setInterval', 'Date'] });
      const { ours, theirs, sent } = await converse(0, loss);
      mock.timers.reset();
      assert.deepEqual(theirs.received, sent);
      assert.deepEqual(ours.control, sent);
      assert.equal(ours.arq.counters.malformed, 0);
    });

    test(`a media conversation is complete both ways at ${loss * 100}% loss, in order only where the other side orders`, async () => {
      mock.timers.enable({ apis: ['setInterval', 'Date'] });
      const { ours, theirs, sent } = await converse(9, loss);
      mock.timers.reset();
      assert.deepEqual(theirs.received, sent);
      assert.deepEqual(ours.media.map(({ text }) => text).sort(), [...sent].sort());
    });
  }
});
